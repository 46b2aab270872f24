"""The prompt that a card's persona gives in a turn: its lorebook triggers, its text is shown as written."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.cards import card_persona, parse_card
from tests.unit.cards.samples import book, entry, v2
from tests.unit.chat.modules.turns import Resolution, simple, turn

WORDS = st.lists(
    st.sampled_from(["@", "\\", "@mirel_rule", "${stage}", "a", " ", "\n", "{", "$", "é"]), max_size=8
).map("".join)


async def prompt(card: dict[str, Any], said: str) -> tuple[str, list[tuple[str | None, str]]]:
    file = card_persona(parse_card(card)).file
    modules = [
        simple(module.name, module.content or "", trigger_pattern=module.trigger_pattern)
        for module in file.modules
    ]
    resolution = Resolution()
    text = await resolution.text(turn(file.persona.template, *modules, user_message=said))
    return text, resolution.warning_types


async def test_entries_stand_in_the_prompt_when_they_are_mentioned() -> None:
    card = v2(
        personality="", scenario="", mes_example="",
        character_book=book(
            entry("storm", content="Storms last a week.", insertion_order=2),
            entry(content="She never sleeps.", constant=True, insertion_order=1, name="rule"),
            entry("C++", content="She knows no C++.", insertion_order=3),
            entry("sea", content="The sea is cold.", selective=True, secondary_keys=["winter"]),
        ),
    )  # fmt: skip
    always = (
        "You are Mirel. Stay in character, and answer User as Mirel would.\n\n"
        "Mirel keeps the lighthouse.\n\nShe never sleeps.\n"
    )
    assert await prompt(card, "Hello.") == (always, [])
    assert await prompt(card, "What a STORM!") == (f"{always}Storms last a week.\n", [])
    assert await prompt(card, "c++ in a storm") == (f"{always}Storms last a week.\nShe knows no C++.\n", [])
    assert await prompt(card, "the sea") == (always, [])
    assert await prompt(card, "the sea\nin winter") == (f"{always}The sea is cold.\n", [])


@given(WORDS)
async def test_what_a_card_says_is_shown_as_it_is(text: str) -> None:
    card = v2(
        description=f"<{text}>", character_book=book(entry(content=f"[{text}]", constant=True, name="rule"))
    )
    shown, warnings = await prompt(card, "Hello.")
    shown = shown.replace("$\u2060{", "${")
    assert f"<{text}>" in shown
    assert f"[{text}]" in shown
    assert warnings == []
