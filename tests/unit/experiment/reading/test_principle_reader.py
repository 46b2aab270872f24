"""A vote is what the agent said: one principle, named and meant, or no vote."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Language, Principle
from workers.experiment.languages.manager import load
from workers.experiment.reading.principle import PrincipleReader
from workers.experiment.reading.reader import UnreadableError

FLOOR, AVERAGE, FLOOR_CONSTRAINT, RANGE_CONSTRAINT = FOUR_PRINCIPLES
READER = PrincipleReader()


def code(text: str, reader: PrincipleReader = READER) -> str:
    with pytest.raises(UnreadableError) as caught:
        reader.read(text)
    return caught.value.code


@pytest.mark.parametrize(
    "answer",
    [
        '{"principle": 3}',
        '{"principle": "3"}',
        '{"principle": 3.0}',
        '{"principle": "principle 3"}',
        '{"principle": "maximizing_average_floor_constraint"}',
        '{"principle": "Maximizing the average income with a floor constraint"}',
        '{"principle": 3, "certainty": "sure", "why": "principle 1 is worse"}',
        '{"vote": {"principle": 3}}',
        '{"principio": 3}',
        '{"原则": 3}',
        '```json\n{"principle": 3}\n```',
        'My ballot:\n\n```json\n{"principle": 3}\n```\nThank you!',
        '{"principle": 3} {"principle": 3}',
        "{'principle': 3}",
        "{principle: 3}",
        '{"principle": 3,}',
        "｛“principle”：３｝",
        '<think>Principle 1 looks fine. {"principle": 1}</think>{"principle": 3}',
        'I like principle 1, but no.</think>\n{"principle": 3}',
        "3",
        "3.",
        " (3) ",
        "**3**",
        "`3`",
        '"3"',
        "３",
        "٣",
        "३",
        "three",
        "Tres.",
        "三",
        "c",
        "(c)",
        "C)",
        "Principle 3",
        "principle #3",
        "Principle 3.",
        "**Principle 3**",
        "principle three",
        "the third principle",
        "Option 3",
        "Principle (c)",
        "principle c",
        "My choice is principle 3",
        "My vote: 3",
        "Answer: 3",
        "I choose 3.",
        "I vote for principle 3.",
        "I choose principle 3 because it protects the poorest.",
        "I would choose principle 3, with no doubt.",
        "Principle 3 with a floor of $15,000",
        "3. Maximizing the average income with a floor constraint",
        "Principle 3: maximizing the average income with a floor constraint of $15,000",
        "Maximizing average with floor constraint",
        "maximizing_average_floor_constraint",
        "principio 3",
        "Principio n.º 3",
        "Elijo el principio 3.",
        "Elijo el tercer principio porque protege a los pobres.",
        "Voto por el principio 3",
        "maximizar el ingreso promedio con una restricción de ingreso mínimo",
        "原则三",
        "原则3",
        "第三条原则",
        "我选择原则3。",
        "我选择第3个原则，因为它保护穷人。",
        "在最低收入约束下使平均收入最大化",
        "I choose principle 3 and the amount is at least $15,000.",
        "I choose principle 3 because it does not leave the poor behind.",
        "I choose principle 3 because everyone needs an income.",
        "Elijo el principio 3 porque nadie debe pasar hambre.",
        "我选择原则3，因为它不会让穷人挨饿。",
        '{"principle": {"number": 3}}',
        '{"vote": "yes", "principle": 3}',
        '{"choice": 3}',
    ],
)
def test_the_third_principle_is_read(answer: str) -> None:
    assert READER.read(answer) is FLOOR_CONSTRAINT


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("", "empty_response"),
        ("  \n ", "empty_response"),
        ("<think>3", "empty_response"),
        ("$15,000", "amount_not_principle"),
        ("15,000", "amount_not_principle"),
        ("1.5", "amount_not_principle"),
        ("$3", "amount_not_principle"),
        ("3%", "amount_not_principle"),
        ("100%", "amount_not_principle"),
        ("3k", "amount_not_principle"),
        ("1万", "amount_not_principle"),
        ("-3", "amount_not_principle"),
        ("10", "number_out_of_range"),
        ("0", "number_out_of_range"),
        ("5", "number_out_of_range"),
        ("15000", "amount_not_principle"),
        ("principle 10", "number_out_of_range"),
        ("principle 0", "number_out_of_range"),
        ("principle -3", "number_out_of_range"),
        ('{"principle": 10}', "number_out_of_range"),
        ('{"principle": -3}', "number_out_of_range"),
        ('{"principle": 3.5}', "number_out_of_range"),
        ('{"principle": 1e999999999}', "number_out_of_range"),
        ('{"principle": 0}', "number_out_of_range"),
        ('{"principle": true}', "no_principle"),
        ('{"principle": null}', "no_principle"),
        ('{"principle": [1, 2]}', "unclear"),
        ('{"principle": "1 or 2"}', "multiple_principles"),
        ('{"principle": "$15,000"}', "amount_not_principle"),
        ('{"principle": 1} {"principle": 3}', "multiple_principles"),
        ('{"principle": 1, "vote": 3}', "multiple_principles"),
        ('{"principle": 1, "principle": 3}', "contradiction"),
        ('I choose principle 1. {"principle": 3}', "multiple_principles"),
        ("I choose principle 3, not 1", "multiple_principles"),
        ("Principles 3 and 4", "multiple_principles"),
        ("principle 1 or principle 3", "multiple_principles"),
        ("3 or 4", "multiple_principles"),
        ("1, 2", "multiple_principles"),
        ("Principle 3 is better than maximizing the floor income", "multiple_principles"),
        ("3. Maximizing the floor income", "multiple_principles"),
        ("I do not choose principle 3", "negated"),
        ("Not principle 3", "negated"),
        ("~~3~~", "negated"),
        ("anything except principle 3", "negated"),
        ("Nunca el principio 3", "negated"),
        ("我不选择原则3", "negated"),
        ("I don't vote for principle 3.", "negated"),
        ("I abstain from voting for principle 3", "negated"),
        ("Principle 3?", "question"),
        ("¿El principio 3?", "question"),
        ("Maybe principle 3", "conditional"),
        ("I choose principle 3 if the others do", "conditional"),
        ("Principle 3 unless it fails", "conditional"),
        ("Si los demás votan, el principio 3", "conditional"),
        ("如果大家同意，我选择原则3", "conditional"),
        ("Alice wants principle 3", "reported"),
        ("Everyone likes principle 3", "reported"),
        ("Principle 3 was on the table for long", "reported"),
        ("Principle 3 is on the table", "unclear"),
        ("My vote last round was principle 3", "reported"),
        ("I want principle 3 removed", "negated"),
        ("Principle 3 would be a mistake", "negated"),
        ("I choose principle 3 as long as you do", "conditional"),
        ("I choose principle 3 because it is fair, but I do not insist", "negated"),
        ('{"principle": 3, "choice": "principle 1"}', "multiple_principles"),
        ('{"principle": {"number": 3, "id": 1}}', "multiple_principles"),
        ("principle 2 with a floor of $15,000", "unclear"),
        ("maximizing average income with a floor of $15,000", "unclear"),
        ("I like them all equally", "no_principle"),
        ("a group of people", "no_principle"),
        ("principle a lot of people like", "no_principle"),
        ("I choose wisely", "no_principle"),
        ("x" * 700, "too_long"),
        ("We have 3 people here", "unclear"),
        ("It is round 3 of the discussion", "unclear"),
    ],
)
def test_what_names_no_principle_or_is_not_meant_is_no_vote(answer: str, expected: str) -> None:
    assert code(answer) == expected


def test_further_principles_are_read_only_when_they_are_on_the_agenda() -> None:
    agenda = (*FOUR_PRINCIPLES, Principle.MAXIMIZING_MEDIAN)
    assert PrincipleReader(agenda).read('{"principle": 6}') is Principle.MAXIMIZING_MEDIAN
    assert PrincipleReader(agenda).read("maximizing the middle class's income") is Principle.MAXIMIZING_MEDIAN
    assert code('{"principle": 5}', PrincipleReader(agenda)) == "number_out_of_range"
    assert code('{"principle": 6}') == "number_out_of_range"


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("principle", Principle)
def test_every_name_that_agents_are_told_is_read(language: Language, principle: Principle) -> None:
    reader = PrincipleReader(tuple(Principle), language)
    name = load(language).principle(principle)
    assert reader.read(name) is principle
    assert reader.read(f"{principle.number}. {name}") is principle
    assert reader.read(json.dumps({"principle": name})) is principle
    assert reader.read(principle.value) is principle


@given(st.integers())
def test_a_number_alone_is_its_principle_or_none(number: int) -> None:
    try:
        read = READER.read(str(number))
    except UnreadableError:
        assert number not in (1, 2, 3, 4)
    else:
        assert read.number == number


@given(
    st.integers(10, 10**12), st.sampled_from(["{:,}", "${:,}", "${}", "{} dollars", "{:,}.00", "{}%", "{}k"])
)
def test_no_amount_is_ever_a_principle(amount: int, style: str) -> None:
    for text in (style.format(amount), json.dumps({"principle": style.format(amount)})):
        with pytest.raises(UnreadableError):
            READER.read(text)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        read = READER.read(text)
    except UnreadableError:
        return
    assert read in FOUR_PRINCIPLES


@given(
    st.permutations([1, 2, 3, 4]), st.sampled_from(["principle {}", "principio {}", "原则{}", "option {}"])
)
def test_two_principles_are_never_one(numbers: list[int], style: str) -> None:
    first, second = style.format(numbers[0]), style.format(numbers[1])
    for text in (f"{first}, {second}", f"I choose {first} over {second}.", f"{first}\n{second}"):
        with pytest.raises(UnreadableError):
            READER.read(text)


def test_deep_and_long_nonsense_is_refused_in_no_time() -> None:
    for text in (
        '{"a":' * 20_000,
        "{" * 40_000,
        "[{" * 20_000,
        "9" * 100_000,
        '{"principle": ' + "9" * 50_000 + "}",
    ):
        with pytest.raises(UnreadableError):
            READER.read(text)
