"""Inline thinking is told from the answer, however its tags are cut, and no text is lost."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.providers.base.thinking import ThinkSplitter, split_thinking


def pieces_of(text: str, places: list[int]) -> list[str]:
    ends = sorted({place % (len(text) + 1) for place in places})
    return [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]


def split(pieces: list[str]) -> tuple[str, str]:
    splitter = ThinkSplitter()
    parts = [splitter.feed(piece) for piece in pieces]
    parts.append(splitter.flush())
    return "".join(part[0] for part in parts), "".join(part[1] for part in parts)


@pytest.mark.parametrize(
    ("text", "content", "thinking"),
    [
        ("", "", ""),
        ("plain", "plain", ""),
        ("  plain ", "  plain ", ""),
        ("   ", "   ", ""),
        ("<think>a</think>b", "b", "a"),
        ("<think>\na\n</think>\n\nb", "b", "a\n"),
        ("\n <think>a</think>b", "b", "a"),
        ("<think></think>b", "b", ""),
        ("<think> \n</think> b", "b", ""),
        ("<think>never closed", "", "never closed"),
        ("<think>a</thin", "", "a</thin"),
        ("<think", "<think", ""),
        (" <thi", " <thi", ""),
        ("<thinking>a", "<thinking>a", ""),
        ("<b>bold</b>", "<b>bold</b>", ""),
        ("a <think>b</think>", "a <think>b</think>", ""),
        ("<think>a</think>b<think>c</think>", "b<think>c</think>", "a"),
        ("<think>a < b </ c</think>d", "d", "a < b </ c"),
        ("<think>a</</think>d", "d", "a</"),
        ("<think>a</think>", "", "a"),
    ],
)
def test_only_a_block_at_the_start_is_thinking(text: str, content: str, thinking: str) -> None:
    assert split([text]) == (content, thinking)
    assert split(list(text)) == (content, thinking)
    assert split_thinking(text) == (content, thinking)


tagged = st.lists(
    st.sampled_from(
        ["<think>", "</think>", "<", "</", "think>", "<thi", "nk>", " ", "\n", "a", "é😀", "word "]
    )
).map("".join)


@given(tagged, st.lists(st.integers(0, 1000), max_size=20))
def test_the_split_does_not_depend_on_the_cuts(text: str, places: list[int]) -> None:
    assert split(pieces_of(text, places)) == split([text])


@given(tagged, st.lists(st.integers(0, 1000), max_size=20))
def test_nothing_but_the_tags_and_the_space_at_them_is_lost(text: str, places: list[int]) -> None:
    content, thinking = split(pieces_of(text, places))
    if re.match(r"\s*<think>", text):
        kept = re.sub(r"^\s*<think>\s*", "", text, count=1)
        kept = re.sub(r"</think>\s*", "", kept, count=1)
        assert thinking + content == kept
    else:
        assert (content, thinking) == (text, "")


def test_after_the_decision_text_passes_as_it_is() -> None:
    splitter = ThinkSplitter()
    assert splitter.feed("Hello") == ("Hello", "")
    assert splitter.decided
    assert splitter.feed("<think>") == ("<think>", "")


def test_a_provider_that_tells_thinking_apart_ends_the_search() -> None:
    splitter = ThinkSplitter()
    assert splitter.feed(" <thi") == ("", "")
    assert splitter.stop() == (" <thi", "")
    assert splitter.feed("<think>x</think>") == ("<think>x</think>", "")
