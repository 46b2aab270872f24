"""Text of a card stays text in a template."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cards.literal import literal
from shared.schemas.template import Escape, Text, parse

SPIKED = st.lists(
    st.sampled_from(["@", "\\", "$", "{", "}", "a", "Foo", "_", " ", "1", "@bar", "${x}", "é", "你"]),
    max_size=12,
).map("".join)


def shown(template: str) -> str:
    """What a template without references and variables renders as."""
    pieces = parse(template).pieces
    assert all(isinstance(piece, Text | Escape) for piece in pieces)
    return "".join("@" if isinstance(piece, Escape) else piece.source for piece in pieces)


@given(SPIKED | st.text())
def test_any_text_is_shown_as_it_is(text: str) -> None:
    template = literal(text)
    assert shown(template).replace("$\u2060{", "${") == text.replace("$\u2060{", "${")
    assert not parse(template).misspelt
    if "${" not in text:
        assert shown(template) == text


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("Hello.", "Hello."),
        ("@bob @Bob", r"\@bob \@Bob"),
        ("a@b.example", "a@b.example"),
        (r"C:\@x", r"C:\\@x"),
        ("$5 {x} $x", "$5 {x} $x"),
        ("${last_user_message}", "$\u2060{last_user_message}"),
    ],
)
def test_only_what_would_mean_something_is_marked(text: str, template: str) -> None:
    assert literal(text) == template
