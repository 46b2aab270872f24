"""Rankings: a strict order of all four, or none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Certainty, Language, Principle
from workers.experiment.languages.manager import load
from workers.experiment.reading.ranking import RankingReader
from workers.experiment.reading.reader import UnreadableError
from workers.experiment.records import Ranking

READER = RankingReader()
ORDER = tuple(FOUR_PRINCIPLES[number - 1] for number in (3, 1, 2, 4))


@pytest.mark.parametrize(
    ("answer", "certainty"),
    [
        ('{"ranking": [3, 1, 2, 4], "certainty": "sure"}', Certainty.SURE),
        ('{"ranking": ["3", "1", "2", "4"], "certainty": 2}', Certainty.UNSURE),
        ('{"ranking": [3, 1, 2, 4]}', None),
        ('{"ranking": [3, 1, 2, 4], "certainty": "quite"}', None),
        ('{"ranking": "3, 1, 2, 4"}', None),
        ('{"ranking": "3 > 1 > 2 > 4"}', None),
        (
            '{"ranking": ["maximizing_average_floor_constraint", "maximizing_floor", "maximizing_average", '
            '"maximizing_average_range_constraint"]}',
            None,
        ),
        (
            '{"ranking": [{"principle": 1, "rank": 2}, {"principle": 3, "rank": 1}, '
            '{"principle": 4, "rank": 4}, {"principle": 2, "rank": 3}], "certainty": "very_sure"}',
            Certainty.VERY_SURE,
        ),
        (
            '{"ranking": {"maximizing_floor": 2, "maximizing_average": 3, '
            '"maximizing_average_floor_constraint": 1, "maximizing_average_range_constraint": 4}}',
            None,
        ),
        (
            '{"ranking": {"1": "principle 3", "2": "principle 1", "3": "principle 2", "4": "principle 4"}}',
            None,
        ),
        ('```json\n{"ranking": [3, 1, 2, 4]}\n```', None),
        ("3, 1, 2, 4", None),
        ("3 1 2 4", None),
        ("3,1,2,4", None),
        ("3 > 1 > 2 > 4", None),
        ("First: principle 3\nSecond: principle 1\nThird: principle 2\nFourth: principle 4", None),
        ("Ranking: 3, 1, 2, 4\nPrinciple 3 is the fairest, and 4 is not fair at all.", None),
        ("3-1-2-4", None),
        ("My ranking: 3, 1, 2, 4", None),
        ("3, 1, 2, 4\nCertainty: very sure", Certainty.VERY_SURE),
        ("Here is my ranking:\n1. Principle 3\n2. Principle 1\n3. Principle 2\n4. Principle 4", None),
        (
            "1. Maximizing the average income with a floor constraint\n2. Maximizing the floor income\n"
            "3. Maximizing the average income\n4. Maximizing the average income with a range constraint\n\n"
            "I am unsure.",
            Certainty.UNSURE,
        ),
        ("原则3、原则1、原则2、原则4", None),
        ("principio 3 > principio 1 > principio 2 > principio 4", None),
    ],
)
def test_an_order_is_read(answer: str, certainty: Certainty | None) -> None:
    assert READER.read(answer) == Ranking(ORDER, certainty)


@pytest.mark.parametrize(
    ("answer", "expected", "principles"),
    [
        ("", "empty_response", None),
        ("I like them all", "ranking_unclear", None),
        ("3", "ranking_unclear", None),
        ('{"ranking": [3, 1, 2]}', "ranking_missing", "4"),
        ("3, 1", "ranking_missing", "2, 4"),
        ('{"ranking": []}', "ranking_missing", "1, 2, 3, 4"),
        ('{"ranking": [3, 1, 2, 3]}', "ranking_duplicate", "3"),
        ('{"ranking": [3, 3, 1, 1]}', "ranking_duplicate", "1, 3"),
        ('{"ranking": [3, 1, 2, 4, 4]}', "ranking_duplicate", "4"),
        ('{"ranking": [3, 1, 2, 5]}', "number_out_of_range", None),
        ('{"ranking": [3, 1, 2, true]}', "no_principle", None),
        ('{"ranking": {"1": 3, "2": 1, "3": 2, "4": 4}}', "ranking_unclear", None),
        ('{"ranking": [{"principle": 1, "rank": 1}, {"principle": 2, "rank": 1}]}', "ranking_unclear", None),
        ('{"ranking": 3124}', "ranking_unclear", None),
        ('{"ranking": [3, 1, 2, 4]} {"ranking": [1, 3, 2, 4]}', "multiple_rankings", None),
        ("2. Principle 3\n1. Principle 1\n3. Principle 2\n4. Principle 4", "ranking_unclear", None),
        ("3 = 1 > 2 > 4", "multiple_principles", None),
        ("3124", "ranking_unclear", None),
        ("3, 1, 2, 4\n1, 3, 2, 4", "ranking_duplicate", "1, 2, 3, 4"),
        (
            "Second: principle 3\nFirst: principle 1\nThird: principle 2\nFourth: principle 4",
            "ranking_unclear",
            None,
        ),
        ("$3,124", "amount_not_principle", None),
    ],
)
def test_what_is_no_strict_order_of_four_is_refused(
    answer: str, expected: str, principles: str | None
) -> None:
    with pytest.raises(UnreadableError) as caught:
        READER.read(answer)
    assert caught.value.code == expected
    assert caught.value.details.get("principles") == principles


@given(
    order=st.permutations(FOUR_PRINCIPLES),
    certainty=st.sampled_from([None, *Certainty]),
    language=st.sampled_from(Language),
)
def test_every_order_is_read_in_every_form(
    order: list[Principle], certainty: Certainty | None, language: Language
) -> None:
    expected = Ranking(tuple(order), certainty)
    numbers = [principle.number for principle in order]
    assert READER.read(json.dumps({"ranking": numbers, "certainty": certainty})) == expected
    text = load(language)
    lines = "\n".join(f"{rank}. {text.principle(principle)}" for rank, principle in enumerate(order, start=1))
    assert READER.read(lines) == Ranking(tuple(order))
    assert READER.read(", ".join(map(str, numbers))) == Ranking(tuple(order))


@given(st.lists(st.integers(0, 6), max_size=6))
def test_no_list_but_a_permutation_is_read(numbers: list[int]) -> None:
    try:
        order = READER.read(json.dumps({"ranking": numbers})).order
    except UnreadableError:
        assert sorted(numbers) != [1, 2, 3, 4]
    else:
        assert [principle.number for principle in order] == numbers
