"""Ballots and paid choices: nothing is added to what the agent said."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Certainty, Language, Principle
from workers.experiment.languages.manager import load
from workers.experiment.reading.certainty import certainty_value
from workers.experiment.reading.choice import BallotReader, ChoiceReader
from workers.experiment.reading.reader import UnreadableError
from workers.experiment.records import Choice

FLOOR, AVERAGE, FLOOR_CONSTRAINT, RANGE_CONSTRAINT = FOUR_PRINCIPLES
EN, ES, ZH = Language
BALLOT = BallotReader(FOUR_PRINCIPLES)


def choose(text: str, language: Language = EN) -> tuple[Choice, Certainty | None]:
    return ChoiceReader(FOUR_PRINCIPLES, language, 1_000, 10_000_000).read(text)


@pytest.mark.parametrize(
    ("answer", "principle", "certainty"),
    [
        ('{"principle": 3, "certainty": "sure"}', FLOOR_CONSTRAINT, Certainty.SURE),
        ('{"principle": 3, "certainty": "Very Sure"}', FLOOR_CONSTRAINT, Certainty.VERY_SURE),
        ('{"principle": 3, "certainty": 5}', FLOOR_CONSTRAINT, Certainty.VERY_SURE),
        ('{"principle": 3, "certainty": "muy seguro"}', FLOOR_CONSTRAINT, Certainty.VERY_SURE),
        ('{"principle": 3, "certainty": "不确定"}', FLOOR_CONSTRAINT, Certainty.UNSURE),
        ('{"principle": 3}', FLOOR_CONSTRAINT, None),
        ('{"principle": 3, "certainty": "banana"}', FLOOR_CONSTRAINT, None),
        ('{"principle": 3, "certainty": 6}', FLOOR_CONSTRAINT, None),
        ('{"principle": 3, "certainty": null}', FLOOR_CONSTRAINT, None),
        ('{"principle": 3, "certainty": "sure"} {"certainty": "unsure"}', FLOOR_CONSTRAINT, None),
        ("3", FLOOR_CONSTRAINT, None),
        ("Principle 1, very sure", FLOOR, Certainty.VERY_SURE),
        ("Principle 1. Certainty: 4", FLOOR, Certainty.SURE),
        ("2\ncertainty: very_unsure", AVERAGE, Certainty.VERY_UNSURE),
        ("I choose principle 4. I am not sure.", RANGE_CONSTRAINT, Certainty.UNSURE),
        ("Elijo el principio 4. Estoy muy seguro.", RANGE_CONSTRAINT, Certainty.VERY_SURE),
        ("我选择原则2，非常确定", AVERAGE, Certainty.VERY_SURE),
        ("我选择原则2。确定程度：不确定", AVERAGE, Certainty.UNSURE),
    ],
)
def test_a_ballot_is_a_principle_and_the_certainty_that_was_given(
    answer: str, principle: Principle, certainty: Certainty | None
) -> None:
    assert BALLOT.read(answer) == (principle, certainty)


@pytest.mark.parametrize("answer", ["$15,000", "10", "3 and 4", '{"certainty": "sure"}', "sure", "very sure"])
def test_no_principle_is_no_ballot(answer: str) -> None:
    with pytest.raises(UnreadableError):
        BALLOT.read(answer)


@pytest.mark.parametrize(
    ("answer", "language", "choice", "certainty"),
    [
        (
            '{"principle": 3, "amount": 15000, "certainty": "sure"}',
            EN,
            Choice(FLOOR_CONSTRAINT, 15_000),
            Certainty.SURE,
        ),
        ('{"principle": "4", "amount": "$15,000"}', EN, Choice(RANGE_CONSTRAINT, 15_000), None),
        ('{"principle": 3, "amount": "15.000"}', ES, Choice(FLOOR_CONSTRAINT, 15_000), None),
        ('{"principle": 3, "amount": "1.5万"}', ZH, Choice(FLOOR_CONSTRAINT, 15_000), None),
        ('{"principle": 3, "amount": 15,000}', EN, Choice(FLOOR_CONSTRAINT, 15_000), None),
        ('{"principle": 1, "amount": null}', EN, Choice(FLOOR), None),
        ('{"principle": 1, "amount": 15000}', EN, Choice(FLOOR), None),
        ('{"principle": 1, "amount": 0, "certainty": "no_opinion"}', EN, Choice(FLOOR), Certainty.NO_OPINION),
        ("Principle 3 with a floor of $15,000", EN, Choice(FLOOR_CONSTRAINT, 15_000), None),
        ("Principle 3, $15,000, very sure", EN, Choice(FLOOR_CONSTRAINT, 15_000), Certainty.VERY_SURE),
        ("I choose principle 3 with a floor of $15,000.", EN, Choice(FLOOR_CONSTRAINT, 15_000), None),
        ("3, 15000", EN, Choice(FLOOR_CONSTRAINT, 15_000), None),
        ("3\n$15,000", EN, Choice(FLOOR_CONSTRAINT, 15_000), None),
        ("2", EN, Choice(AVERAGE), None),
        (
            "Elijo el principio 4 con una diferencia de 15.000 dólares como máximo.",
            ES,
            Choice(RANGE_CONSTRAINT, 15_000),
            None,
        ),
        ("我选择原则3，最低收入1.5万美元", ZH, Choice(FLOOR_CONSTRAINT, 15_000), None),
    ],
)
def test_a_choice_has_the_amount_that_its_principle_needs(
    answer: str, language: Language, choice: Choice, certainty: Certainty | None
) -> None:
    assert choose(answer, language) == (choice, certainty)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"principle": 3}', "amount_missing"),
        ('{"principle": 3, "amount": null}', "amount_missing"),
        ("Principle 3", "amount_missing"),
        ("3", "amount_missing"),
        ('{"amount": 15000}', "amount_not_principle"),
        ("$15,000", "amount_not_principle"),
        ('{"principle": 3, "amount": 15}', "amount_too_low"),
        ('{"principle": 3, "amount": -5}', "no_negative_amounts"),
        ('{"principle": 3, "amount": 15000, "floor": 20000}', "multiple_amounts"),
        ("Principle 3 with $15,000 or $20,000", "conditional"),
        ("Principle 3: 15,000, 20,000", "multiple_amounts"),
        ("Principle 3 or 4 with $15,000", "multiple_principles"),
    ],
)
def test_what_is_no_whole_choice_is_refused(answer: str, expected: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        choose(answer)
    assert caught.value.code == expected


@given(
    principle=st.sampled_from(FOUR_PRINCIPLES),
    amount=st.integers(1_000, 10_000_000),
    certainty=st.sampled_from([None, *Certainty]),
    language=st.sampled_from(Language),
)
def test_the_form_that_is_asked_for_is_read_as_it_is(
    principle: Principle, amount: int, certainty: Certainty | None, language: Language
) -> None:
    answer = json.dumps({"principle": principle.number, "amount": amount, "certainty": certainty})
    assert choose(answer, language) == (
        Choice(principle, amount if principle.constrained else None),
        certainty,
    )
    money = load(language).money(amount)
    spoken = f"{load(language).principle(principle)}: {money}"
    assert choose(spoken, language)[0] == Choice(principle, amount if principle.constrained else None)


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("certainty", Certainty)
def test_every_word_of_certainty_that_agents_are_told_is_read(
    language: Language, certainty: Certainty
) -> None:
    assert certainty_value(load(language).certainty(certainty)) is certainty
    assert certainty_value(certainty.value) is certainty
    assert certainty_value(certainty.level) is certainty


def test_a_schema_names_every_part_and_allows_no_other() -> None:
    schema = ChoiceReader(FOUR_PRINCIPLES, EN).schema
    assert schema is not None
    assert schema["required"] == ["principle", "amount", "certainty"]
    assert schema["additionalProperties"] is False
    without = ChoiceReader(FOUR_PRINCIPLES, EN, with_certainty=False).schema
    assert without is not None
    assert without["required"] == ["principle", "amount"]
