"""Templates are read to their tree in one pass, and the tree is exactly the text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.template import (
    MAX_NAME,
    Escape,
    Misspelt,
    Position,
    Reference,
    Text,
    Variable,
    names,
    parse,
)
from workers.chat.modules.template_parser import TemplateParser, is_plain

#: Text made of what the grammar knows, so that its edges meet.
marks = ("@", "\\", "$", "{", "}", "${", "foo", "foobar", "@foo", "@foobar", "${x}", "\\@", "a@b.c")
others = ("_", "F", "9", "ß", "你", "😀", " ", "\n", "\r\n", "\x00", "\ud800", "x" * 51)
pieces = st.sampled_from((*marks, *others))
texts = st.text() | st.lists(pieces).map("".join)


@given(texts)
def test_any_text_is_rendered_back_exactly(text: str) -> None:
    assert parse(text).source == text


@given(texts)
def test_pieces_follow_one_another_without_a_gap(text: str) -> None:
    at = 0
    for piece in parse(text).pieces:
        assert piece.at == at
        assert piece.source
        at += len(piece.source)
    assert at == len(text)


@given(texts)
def test_two_texts_never_stand_side_by_side(text: str) -> None:
    found = parse(text).pieces
    assert not any(isinstance(one, Text) and isinstance(two, Text) for one, two in pairwise(found))


@given(texts)
def test_what_was_text_is_text_again(text: str) -> None:
    """No piece of text has a reference in it that the parser overlooked."""
    for piece in parse(text).pieces:
        if isinstance(piece, Text):
            assert "\\@" not in piece.text
            assert not parse(piece.text).variables


@given(texts)
def test_names_are_those_of_the_references_in_first_seen_order(text: str) -> None:
    template = parse(text)
    assert list(template.names) == list(dict.fromkeys(one.name for one in template.references)) == names(text)
    assert all(1 <= len(name) <= MAX_NAME for name in template.names)


@given(texts)
def test_plain_text_needs_no_tree(text: str) -> None:
    if is_plain(text):
        assert parse(text).pieces == ((Text(text, 0),) if text else ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("@", (Text("@", 0),)),
        ("@foo", (Reference("foo", 0),)),
        ("@foobar", (Reference("foobar", 0),)),
        ("@foo bar", (Reference("foo", 0), Text(" bar", 4))),
        ("@foo.", (Reference("foo", 0), Text(".", 4))),
        ("@foo-bar", (Reference("foo", 0), Text("-bar", 4))),
        ("@foo@bar", (Reference("foo", 0), Reference("bar", 4))),
        ("@@foo", (Text("@", 0), Reference("foo", 1))),
        ("@foo你好", (Reference("foo", 0), Text("你好", 4))),
        ("(@foo)", (Text("(", 0), Reference("foo", 1), Text(")", 5))),
        ("@" + "x" * 50, (Reference("x" * 50, 0),)),
        (r"\@foo", (Escape(0), Text("foo", 2))),
        (r"\\@foo", (Text("\\", 0), Escape(1), Text("foo", 3))),
        (r"a\@b", (Text("a", 0), Escape(1), Text("b", 3))),
        (r"\@@foo", (Escape(0), Reference("foo", 2))),
        (r"\n", (Text(r"\n", 0),)),
        ("${x}", (Variable("x", 0),)),
        ("${_X9}@foo", (Variable("_X9", 0), Reference("foo", 6))),
        ("@foo${x}", (Reference("foo", 0), Variable("x", 4))),
        ("$${x}", (Text("$", 0), Variable("x", 1))),
        ("${${x}}", (Text("${", 0), Variable("x", 2), Text("}", 6))),
    ],
)
def test_tree(text: str, expected: tuple[object, ...]) -> None:
    assert parse(text).pieces == expected


@pytest.mark.parametrize(
    "text",
    [
        "someone@example.org",
        "a_@foo",
        "9@foo",
        "é@foo",
        "${}",
        "${ x }",
        "${x",
        "${9x}",
        "${x-y}",
        "${é}",
        "$x",
    ],
)
def test_what_only_looks_like_a_place_is_text(text: str) -> None:
    assert parse(text).pieces == (Text(text, 0),)
    assert parse(text).misspelt == ()


@pytest.mark.parametrize(
    ("text", "word", "reason"),
    [
        ("@Foo", "Foo", "small letter"),
        ("@fooBar", "fooBar", "small letter"),
        ("@_foo", "_foo", "small letter"),
        ("@9foo", "9foo", "small letter"),
        ("@straße", "straße", "small letter"),
        ("@" + "x" * 51, "x" * 51, "at most 50"),
    ],
)
def test_a_wrong_name_is_text_as_a_whole_and_is_pointed_out(text: str, word: str, reason: str) -> None:
    template = parse(text)
    assert template.pieces == (Text(text, 0),)
    (found,) = template.misspelt
    assert found == Misspelt(word, 0, found.reason)
    assert reason in found.reason


def test_positions_count_lines_and_columns_from_one() -> None:
    template = parse("first\nsecond @foo\r\n  ${x}")
    (reference,) = template.references
    variable = template.pieces[-1]
    assert template.position(0) == Position(0, 1, 1)
    assert template.position(reference.at) == Position(13, 2, 8)
    assert template.position(variable.at) == Position(21, 3, 3)


def test_the_same_text_is_parsed_once() -> None:
    parser, text = TemplateParser(), "a new text with @one and @two and @one"
    assert parser.parse(text) is TemplateParser().parse(text)
    assert parser.parse_template(text) == ["one", "two"]
    assert parser.parse_template("nothing here") == []
