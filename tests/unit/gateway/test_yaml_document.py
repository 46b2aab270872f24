"""YAML is read as JSON would be, and nothing in it grows, runs or nests without end."""

from __future__ import annotations

import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.yaml_document import MAX_NODES, YAMLError, read_yaml, write_yaml

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")) | st.lists(
    st.sampled_from(
        ["a", " ", "\n", "\r", "\t", "#", ":", "-", "'", '"', "|", "\x85", "\u2028", "\ufeff", "1", "e5", "."]
    )
).map("".join)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_what_is_written_reads_back(value: Any) -> None:
    text = write_yaml(value)
    assert read_yaml(text.encode()) == value
    assert repr(read_yaml(text.encode())) == repr(value)
    # Other readers of YAML, which know more types, read the same.
    assert yaml.load(text, Loader=yaml.CSafeLoader) == value


def test_a_text_of_several_lines_is_a_block() -> None:
    assert (
        write_yaml({"template": "You are Ava.\n\n@memory\n"}) == "template: |\n  You are Ava.\n\n  @memory\n"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb: [x, 2.5, true, null, ~]\nc:", {"a": 1, "b": ["x", 2.5, True, None, None], "c": None}),
        ("no", "no"),
        ("on: yes", {"on": "yes"}),
        ("2020-01-01", "2020-01-01"),
        ("012", "012"),
        ("0x1F", "0x1F"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("\ufeffa: é", {"a": "é"}),
        ("--- a\n...\n", "a"),
        ("t: >-\n  one\n  two\n", {"t": "one two"}),
        ("{}", {}),
    ],
)
def test_scalars_are_read_as_in_json(text: str, value: Any) -> None:
    assert read_yaml(text.encode()) == value


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
)


@pytest.mark.parametrize(
    ("content", "told", "line"),
    [
        (b"", "is empty", None),
        (b"# nothing\n", "is empty", None),
        (b"a: *x", "aliases", 1),
        (LAUGHS.encode(), "aliases", 2),
        (b"a: &a\n  - *a\n", "aliases", 2),
        (b"x: !!python/object/apply:os.system [id]", "tags", 1),
        (b"x: !!python/name:os.system ''", "tags", 1),
        (b"x: !!binary aGk=", "tags", 1),
        (b"!mine {}", "tags", 1),
        (b"a: 1\n---\nb: 2\n", "one document", 2),
        (b"a: 1\na: 2\n", "twice", 2),
        (b"1: a", "strings as keys", 1),
        (b"? [a]\n: b", "strings as keys", 1),
        (b"a: [1, 2", "is not YAML", 2),
        (b"a: b: c", "is not YAML", 1),
        (b"\tx: 1", "is not YAML", 1),
        (b"%YAML 9.9\n--- x", "is not YAML", 1),
        (b"a: \x00", "control character", None),
        (b"a: \xff", "is not UTF-8", None),
        (b"a\x00:\x00", "control character", None),
        (b"9" * 30 + b".0e999", "too large", 1),
        (b"[" * 101 + b"]" * 101, "100 levels", 1),
        (b"[" * 100_000, "100 levels", 1),
        (b"{a: " * 100_000, "100 levels", 1),
        (b"- " * 100_000, "100 levels", 1),
        (b"[" + b"1," * MAX_NODES + b"]", "100000 values", 1),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_refused_and_where(content: bytes, told: str, line: int | None) -> None:
    began = time.process_time()
    with pytest.raises(YAMLError, match=told) as caught:
        read_yaml(content)
    assert time.process_time() - began < 2
    assert caught.value.errors[0].get("line") == line


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode(errors="replace")))
def test_no_bytes_raise_anything_else(content: bytes) -> None:
    try:
        value = read_yaml(content)
    except YAMLError:
        return
    assert read_yaml(write_yaml(value).encode()) == value
