"""Placeholders are filled in once, and those that cannot be are named."""

from __future__ import annotations

import pytest

from shared.cards.placeholders import Placeholders


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{char}} {{CHAR}} {{ Char }} <bot> <BOT>", "Mi Mi Mi Mi Mi"),
        ("{{user}} <User>", "User User"),
        ("a{{// a note}}b{{comment: c}}d{{hidden_key:e}}f", "abdf"),
        ("{{random:red,green}} {{pick::one::two}} {{random:a\\,b,c}}", "red one a,b"),
        ("{{original}}!", "yes!"),
        ("{{roll:6}} {{time}} {{}} {{{char}}}", "{{roll:6}} {{time}} {{}} {Mi}"),
        ("a\r\nb\rc", "a\nb\nc"),
    ],
)
def test_fill(text: str, filled: str) -> None:
    assert Placeholders("Mi").fill(text, original="yes") == filled


def test_a_value_is_not_filled_in_again() -> None:
    assert Placeholders("{{user}}").fill("{{char}}") == "{{user}}"


def test_what_is_not_kept_is_told() -> None:
    fill = Placeholders("Mi")
    assert fill.notes() == []
    fill.fill("{{random:a,b}} {{roll:6}} {{weird}}")
    first, second = fill.notes()
    assert "random" in first
    assert "roll, weird" in second
