"""What an agent is shown of the discussion when it is asked about a vote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Language, Principle
from tests.unit.experiment.voting.group import Group, state
from workers.experiment.languages.manager import load
from workers.experiment.services.voting.context import (
    LEAST_STATEMENT,
    clipped,
    discussed,
    numbered,
    own_words,
)


@given(st.text(max_size=400), st.integers(10, 120))
def test_what_is_clipped_fits_and_is_the_beginning(words: str, limit: int) -> None:
    shown = clipped(words, limit)
    assert len(shown) <= limit
    line = " ".join(words.split())
    assert shown == line if len(line) <= limit else line.startswith(shown.removesuffix(" …"))


#: Characters for all statements.
ROOM = 2400


@pytest.mark.parametrize(
    ("words", "limit", "shown"),
    [
        ("I want $12.5k. That is all. No more of it!", 30, "I want $12.5k. That is all. …"),
        ("我同意最低收入。金额是一万二千。别的都不要。", 20, "我同意最低收入。金额是一万二千。 …"),
        # A short sentence at the start is no reason to leave out the rest.
        ("Yes. A floor of twelve thousand dollars is what I want", 30, "Yes. A floor of twelve …"),
        ("two\nlines  and blanks", 40, "two lines and blanks"),
        ("x" * 50, 12, "x" * 10 + " …"),
    ],
)
def test_it_ends_after_a_sentence_or_a_word(words: str, limit: int, shown: str) -> None:
    assert clipped(words, limit) == shown


async def test_everybody_has_the_same_room_in_the_order_of_the_configuration() -> None:
    group = Group({})
    said = {"Cleo": "Third. " * 500, "Ann": "First. " * 500, "Bob": "Second. " * 500}
    shown = discussed(group.agents[0], group.agents, state(said=said), ROOM)
    heading, *lines = shown.splitlines()
    assert [line.split(":")[0] for line in lines] == ["Ann", "Bob", "Cleo"]
    assert all(len(line) > ROOM // 3 - 20 for line in lines)
    assert len(shown) < ROOM + len(heading) + 30


async def test_in_a_large_group_each_still_has_some_room() -> None:
    names = tuple(f"A{number}" for number in range(30))
    group = Group({}, agents=names)
    shown = discussed(group.agents[0], group.agents, state(said=dict.fromkeys(names, "Words. " * 200)), ROOM)
    assert all(LEAST_STATEMENT - 20 < len(line) < LEAST_STATEMENT + 20 for line in shown.splitlines()[1:])


async def test_silence_is_told() -> None:
    group = Group({})
    silent = state(said={})
    text = group.agents[0].text
    assert discussed(group.agents[0], group.agents, silent, ROOM) == text.text(
        "voting.context.silence", round=3
    )
    assert own_words(group.agents[0], silent, ROOM) == text.text("voting.own.nothing")


@pytest.mark.parametrize("language", Language)
def test_the_agenda_is_told_in_its_order_under_the_numbers_that_are_read(language: Language) -> None:
    text = load(language)
    agenda = (*FOUR_PRINCIPLES, Principle.MAXIMIZING_MEDIAN, Principle.MINIMIZING_RANGE)
    assert numbered(text, agenda).splitlines() == [
        f"{number} = {text.principle(principle)}"
        for number, principle in zip((1, 2, 3, 4, 6, 5), agenda, strict=True)
    ]
