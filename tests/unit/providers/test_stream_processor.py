"""However the network cuts the bytes, the same lines and events come out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ProviderResponseError
from workers.providers.base.stream_processor import LineSplitter, ServerSentEvent, SSEParser


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places})
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


def lines_of(pieces: list[bytes]) -> list[bytes]:
    splitter = LineSplitter()
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    return [*lines, splitter.flush()]


def events_of(pieces: list[bytes]) -> list[ServerSentEvent]:
    parser = SSEParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.flush()


places = st.lists(st.integers(0, 10_000), max_size=30)
noise = st.lists(
    st.sampled_from(
        [b"a", "é😀".encode(), b"\n", b"\r", b"\r\n", b"data: x", b"data:", b"event: e", b": c", b"{}"]
    )
).map(b"".join)


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a\nb\n", [b"a", b"b", b""]),
        (b"a\r\nb\r\n", [b"a", b"b", b""]),
        (b"a\rb\r", [b"a", b"b", b""]),
        (b"a\n\nb", [b"a", b"", b"b"]),
        (b"a\r\n\r\nb", [b"a", b"", b"b"]),
        (b"a\n\r\nb", [b"a", b"", b"b"]),
        (b"", [b""]),
        ("é\n".encode(), ["é".encode(), b""]),
    ],
)
def test_lines_end_at_each_kind_of_end(data: bytes, lines: list[bytes]) -> None:
    assert lines_of([data]) == lines
    assert lines_of([data[index : index + 1] for index in range(len(data))]) == lines


@given(noise, places)
def test_lines_do_not_depend_on_the_cuts(data: bytes, places: list[int]) -> None:
    assert lines_of(cut(data, places)) == lines_of([data])


@given(noise, places)
def test_events_do_not_depend_on_the_cuts(data: bytes, places: list[int]) -> None:
    assert events_of(cut(data, places)) == events_of([data])


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1)), places
)
def test_text_survives_cuts_within_a_character(texts: list[str], places: list[int]) -> None:
    data = "".join(f"data: {text}\n\n" for text in texts).encode()
    assert [event.data.decode() for event in events_of(cut(data, places))] == texts


def test_a_line_without_end_is_refused_before_it_fills_the_memory() -> None:
    splitter = LineSplitter(max_line=10)
    assert splitter.feed(b"12345") == []
    with pytest.raises(ProviderResponseError, match="more than 10 bytes"):
        splitter.feed(b"678901")


def test_a_long_line_counts_anew_after_its_end() -> None:
    splitter = LineSplitter(max_line=10)
    assert splitter.feed(b"12345678\n12345678") == [b"12345678"]
    assert splitter.feed(b"9\n") == [b"123456789"]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        ("data: a\n\n", [("a", "")]),
        ("data:a\n\n", [("a", "")]),
        ("data:  a\n\n", [(" a", "")]),
        ("data: a\ndata: b\n\n", [("a\nb", "")]),
        ("data: a\n\ndata: b\n\n", [("a", ""), ("b", "")]),
        ("event: error\ndata: a\n\ndata: b\n\n", [("a", "error"), ("b", "")]),
        (": comment\n\ndata: a\n: another\n\n", [("a", "")]),
        ("id: 1\nretry: 5\nunknown: x\ndata: a\n\n", [("a", "")]),
        ("\n\n\ndata: a\n\n", [("a", "")]),
        ("data\n\n", [("", "")]),
        ("data: a", [("a", "")]),
        ("data: a\n", [("a", "")]),
        ("\ufeffdata: a\n\n", [("a", "")]),
        ('{"error": "x"}\n', [('{"error": "x"}', "")]),
        ('error: {"a": 1}\n\n', [('{"a": 1}', "error")]),
        ("event: only\n\n", []),
        ("", []),
    ],
)
def test_events_by_the_rules(stream: str, events: list[tuple[str, str]]) -> None:
    for newline in ("\n", "\r\n", "\r"):
        found = events_of([stream.replace("\n", newline).encode()])
        assert [(event.data.decode(), event.event.decode()) for event in found] == events
