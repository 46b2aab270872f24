"""Places are filled in one go, and no text grows past its limit."""

from __future__ import annotations

import pytest

from shared.schemas.template import Piece, parse
from workers.chat.modules.execution import simple_executor
from workers.chat.modules.execution.simple_executor import MISSING, SimpleModuleExecutor, shown


def filled(template: str, values: dict[str, object] | None = None) -> tuple[str, list[str]]:
    left_out: list[Piece] = []
    known = values or {}
    text = SimpleModuleExecutor().execute(
        parse(template),
        lambda reference: f"<{reference.name}>",
        lambda name: known.get(name, MISSING),
        left_out.append,
    )
    return text, [piece.source for piece in left_out]


def test_every_kind_of_place_is_filled() -> None:
    assert filled(r"a @b \@c ${d} ${e}", {"d": "@b ${e}"}) == ("a <b> @c @b ${e} ${e}", [])


def test_a_variable_that_is_none_is_not_one_that_is_missing() -> None:
    assert filled("${x}", {"x": None}) == ("null", [])


def test_what_would_be_too_long_is_left_out_and_the_rest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simple_executor, "MAX_TEXT", 10)
    assert filled("${long}@b${x}${x}", {"long": "y" * 11, "x": "1234567"}) == (
        "<b>1234567",
        ["${long}", "${x}"],
    )


def test_values_that_json_does_not_know_are_shown_all_the_same() -> None:
    assert shown({"set": {1}}) == '{"set": "{1}"}'
