"""A card as a persona: every text has its place, and nothing of it is lost."""

from __future__ import annotations

from typing import Any

import pytest

from shared.cards import CardPersona, card_persona, parse_card
from shared.cards.card import CardError
from shared.schemas.persona_file import PersonaFile
from shared.schemas.template import names
from tests.unit.cards.samples import PIXEL, V1, book, entry, v2, v3


def made(value: dict[str, Any]) -> CardPersona:
    return card_persona(parse_card(value))


def kept(persona: CardPersona) -> dict[str, Any]:
    card: dict[str, Any] = persona.file.persona.extra_data["character_card"]
    return card


def test_the_texts_of_a_card_become_the_template() -> None:
    persona = made(
        v2(system_prompt="{{original}} Be brief.", post_history_instructions="Two sentences. {{original}}")
    )
    assert persona.file.persona.template == (
        "You are Mirel. Stay in character, and answer User as Mirel would. Be brief.\n\n"
        "Mirel keeps the lighthouse.\n\n"
        "Personality of Mirel:\ndry, patient\n\n"
        "Scenario:\nA storm is coming.\n\n"
        "Examples of how Mirel talks with User:\n\n"
        "[Example 1]\nUser: Is it safe?\nMirel: It is a rock.\n\n"
        "[Example 2]\nUser: Hi\nMirel: Mind the step.\n\n"
        "Two sentences."
    )
    assert persona.file.persona.first_message == "*looks up* You are late, User."
    assert persona.file.persona.description == "Best with long answers."
    assert persona.file.persona.mode == "reactive"
    assert persona.notes == []


def test_a_v1_card_and_an_empty_one() -> None:
    assert made(V1).file.persona.template.startswith("You are Mirel. Stay")
    empty = made({"name": "A", "description": ""}).file.persona
    assert empty.template == "You are A. Stay in character, and answer User as A would."
    assert (empty.first_message, empty.description) == (None, None)


def test_a_nickname_is_what_the_character_is_called() -> None:
    persona = made(v3())
    assert persona.file.persona.name == "Mirel"
    assert "Mi keeps the lighthouse." in persona.file.persona.template


def test_everything_else_is_kept_as_it_was_written() -> None:
    persona = made(
        v3(
            alternate_greetings=["Oh, {{user}}."],
            source=["https://cards.example/1"],
            creation_date=1700000000,
            some_future_field={"a": [1]},
            assets=[{"type": "icon", "uri": "ccdefault:"}, {"type": "x", "uri": "data:," + "A" * 3000}],
        )
    )
    card = kept(persona)
    assert card["alternate_greetings"] == ["Oh, {{user}}."]
    assert card["creator_notes"] == "Best with long answers."
    assert card["tags"] == ["sea", "slow"]
    assert card["extensions"] == {"depth_prompt": {"depth": 4, "prompt": ""}}
    assert card["some_future_field"] == {"a": [1]}
    assert card["assets"] == [{"type": "icon", "uri": "ccdefault:"}]
    assert (card["spec"], card["spec_version"]) == ("v3", "3.0")
    assert any("other greetings (1)" in note for note in persona.notes)
    assert any("1 embedded asset" in note for note in persona.notes)


def test_what_looks_like_a_template_stays_text() -> None:
    persona = made(
        v2(
            name="@ada",
            description="Ask @keeper or ${ai_response}, mail a@b.example.",
            character_book=book(entry("x", content="@keeper ${stage}")),
        )
    )
    lore = persona.file.modules[0]
    assert names(persona.file.persona.template) == [lore.name]
    assert names(lore.content or "") == []
    assert "You are \\@ada." in persona.file.persona.template


def test_a_lorebook_becomes_modules_in_its_order() -> None:
    persona = made(
        v2(
            character_book=book(
                entry("storm", "wind", content="Storms last a week.\n", insertion_order=20, name="The storm"),
                entry(content="{{char}} never sleeps.", constant=True, insertion_order=10, comment="Sleep!"),
                entry("Ünï", content="First.", position="before_char", insertion_order=30),
                entry("storm", content="Twice.", insertion_order=40, name="the STORM"),
            )
        )
    )
    assert [(module.name, module.trigger_pattern, module.content) for module in persona.file.modules] == [
        ("mirel_sleep", None, "Mirel never sleeps.\n"),
        ("mirel_the_storm", "storm|wind", "Storms last a week.\n"),
        ("mirel_uni", "Ünï", "First.\n"),
        ("mirel_the_storm_2", "storm", "Twice.\n"),
    ]
    assert all(
        module.type == "simple" and module.execution_context == "IMMEDIATE" for module in persona.file.modules
    )
    template = persona.file.persona.template
    assert "\n\n@mirel_uni\n\nMirel keeps the lighthouse.\n\n" in template
    assert "\n\n@mirel_sleep@mirel_the_storm@mirel_the_storm_2\n\nPersonality" in template
    assert names(template) == ["mirel_uni", "mirel_sleep", "mirel_the_storm", "mirel_the_storm_2"]


def test_entries_that_become_no_module_are_kept_and_told() -> None:
    unused = [
        entry("off", enabled=False, name="Off"),
        entry("empty", content=" \n"),
        entry(content="No keys."),
        entry("(", use_regex=True),
        entry("x" * 501),
    ]
    persona = made(v3(character_book=book(*unused, entry("used"), scan_depth=5, name="Lore")))
    assert len(persona.file.modules) == 1
    card = kept(persona)["character_book"]
    assert card["unused_entries"] == unused
    assert (card["scan_depth"], card["name"]) == (5, "Lore")
    assert sum("became no module" in note for note in persona.notes) == len(unused)
    assert any("newest message only" in note for note in persona.notes)


def test_selective_case_sensitive_and_decorated_entries() -> None:
    persona = made(
        v3(
            character_book=book(
                entry("sea", selective=True, secondary_keys=["storm"], id=7, priority=3),
                entry("Sea", case_sensitive=True),
                entry("/se+a/i", use_regex=True, constant=True),
                entry("never", content="@@activate\n@@depth 2\nAlways."),
                entry("sea", content="@@dont_activate\nNever."),
            )
        )
    )
    selective, sensitive, pattern, always = persona.file.modules
    assert selective.trigger_pattern == r"\A(?i:(?=[\s\S]*(?:sea))(?=[\s\S]*(?:storm)))"
    assert sensitive.trigger_pattern == "(?-i:Sea)"
    assert pattern.trigger_pattern == "(?i:se+a)"
    assert (always.trigger_pattern, always.content) == (None, "Always.\n")
    entries = kept(persona)["character_book"]["entries"]
    assert entries[selective.name]["priority"] == 3
    assert entries[selective.name]["secondary_keys"] == ["storm"]
    assert entries[always.name]["decorators"] == ["@@depth 2"]


def test_names_from_any_alphabet_make_module_names() -> None:
    persona = made(v2(name="灯台守", character_book=book(entry("嵐"), entry("海"), entry("2nd"))))
    assert [module.name for module in persona.file.modules] == [
        "character_entry_1", "character_entry_2", "character_n2nd",
    ]  # fmt: skip
    assert [module.trigger_pattern for module in persona.file.modules] == ["嵐", "海", "2nd"]


def test_the_picture_is_the_image() -> None:
    persona = card_persona(parse_card(v2()), PIXEL)
    assert persona.file.image is not None
    assert persona.file.image.content() == PIXEL


def test_a_name_of_several_lines_becomes_one_line() -> None:
    assert made(v2(name=" Mi\nrel \t")).file.persona.name == "Mi rel"
    assert len(made(v2(name="x" * 300)).file.persona.name) == 255


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"description": "x" * 200_001}, "persona.template"),
        ({"first_mes": "x" * 100_001}, "persona.first_message"),
        ({"name": "a\x07b"}, "persona.name"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(CardError) as caught:
        made(v2(**changes))
    assert [fault["field"] for fault in caught.value.errors] == [field]


def test_a_card_round_trips_as_a_file() -> None:
    file = card_persona(parse_card(v3(character_book=book(entry("x")))), PIXEL).file
    assert PersonaFile.model_validate(file.model_dump(mode="json")) == file
