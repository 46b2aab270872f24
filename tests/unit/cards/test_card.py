"""Cards in circulation are written loosely; what is read of them is not."""

from __future__ import annotations

from typing import Any

import pytest

from shared.cards.card import MAX_ENTRIES, CardError, is_card, parse_card
from tests.unit.cards.samples import V1, book, entry, v2, v3


@pytest.mark.parametrize(("value", "spec"), [(V1, "v1"), (v2(), "v2"), (v3(), "v3")])
def test_versions(value: dict[str, Any], spec: str) -> None:
    assert is_card(value)
    card = parse_card(value)
    assert (card.spec, card.data.name, card.data.scenario) == (spec, "Mirel", "A storm is coming.")
    assert not card.newer


@pytest.mark.parametrize(
    "value",
    [
        {"format": "parley.persona", "version": 1, "persona": {"name": "x", "template": "t"}},
        {"persona": {"name": "x", "template": "t"}, "name": "x", "description": "y"},
        {"name": "x"},
        {},
        [],
        None,
        "chara_card_v2",
    ],
)
def test_what_is_no_card(value: Any) -> None:
    assert not is_card(value)


def test_what_is_left_out_or_null_is_empty() -> None:
    data = {
        "name": "A", "description": None, "tags": None, "extensions": None, "alternate_greetings": None,
        "character_book": {"entries": [{
            "keys": None, "content": None, "enabled": None, "insertion_order": None, "secondary_keys": "a, b",
            "position": None, "constant": None,
        }]},
    }  # fmt: skip
    card = parse_card({"spec": "chara_card_v2", "data": data})
    assert card.data.description == card.data.first_mes == ""
    assert card.data.character_book is not None
    made = card.data.character_book.entries[0]
    assert (made.keys, made.content, made.enabled, made.constant) == ([], "", True, False)
    assert made.secondary_keys == ["a", " b"]


def test_a_newer_version_is_read_and_said_to_be_newer() -> None:
    for version, newer in (("3.0", False), ("2.0", False), ("3.1", True), ("four", True), ("", False)):
        assert parse_card({**v3(), "spec_version": version}).newer is newer


@pytest.mark.parametrize(
    ("value", "field", "told"),
    [
        ({"spec": "chara_card_v4", "data": {"name": "x"}}, "spec", "chara_card_v2 or chara_card_v3"),
        ({"spec": "lorebook_v3", "data": book()}, "spec", "chara_card_v2 or chara_card_v3"),
        ({"spec": ["chara_card_v2"], "data": {}}, "spec", "chara_card_v2"),
        ({"spec": "chara_card_v2"}, "data", "must be the object"),
        ({"spec": "chara_card_v2", "data": {}}, "data.name", "is missing"),
        (v2(name=" \n"), "data.name", "must not be blank"),
        (v2(name=7), "data.name", "string"),
        (v2(description=["x"]), "data.description", "string"),
        (v2(tags="sea"), "data.tags", "list"),
        (v2(alternate_greetings=[1]), "data.alternate_greetings.0", "string"),
        (v2(extensions=[]), "data.extensions", "dictionary"),
        (v2(character_book=[]), "data.character_book", "valid"),
        (v2(character_book=book("x")), "data.character_book.entries.0", "valid"),  # type: ignore[arg-type]
        (
            v2(character_book=book(entry(insertion_order="soon"))),
            "data.character_book.entries.0.insertion_order",
            "number",
        ),
        (v2(character_book=book(*[entry()] * (MAX_ENTRIES + 1))), "data.character_book.entries", "1000"),
        (v2(scenario="a\x00b"), "body", "NUL character"),
        ({**V1, "name": None}, "name", "string"),
    ],
)
def test_what_is_refused_and_where(value: Any, field: str, told: str) -> None:
    with pytest.raises(CardError, match=told) as caught:
        parse_card(value)
    assert field in [fault["field"] for fault in caught.value.errors]
    assert caught.value.status == 422
