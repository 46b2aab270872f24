"""What agents read of a set says what the rules do, in every language."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Averages, Language, Principle
from workers.experiment.languages.manager import LanguageManager
from workers.experiment.principles.bands import winners
from workers.experiment.principles.consequences import chances, consequences, descriptions, table
from workers.experiment.principles.distribution import DistributionSet
from workers.experiment.principles.tables import tables

AMOUNT = re.compile(r"\d{1,3}(?:[.,]\d{3})+")


def amounts(line: str) -> list[int]:
    return [int(re.sub(r"\D", "", number)) for number in AMOUNT.findall(line)]


def picked(line: str) -> int:
    """The number of a distribution is the only one of a single digit."""
    return int(re.findall(r"(?<![\d.,])[1-4](?![\d.,]*\d)", line)[-1])


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("name", tables())
@pytest.mark.parametrize("averages", Averages)
def test_the_printed_consequences_are_the_winners(language: Language, name: str, averages: Averages) -> None:
    found = winners(tables()[name], averages)

    lines = consequences(tables()[name], averages, LanguageManager(language)).splitlines()

    floors = [band.amount for band in found.floor_constraint]
    ranges = [band.amount for band in found.range_constraint]
    told = [(amounts(line), picked(line)) for line in lines if re.search(r"\d", line)]
    assert told == [
        ([], found.maximizing_floor),
        ([], found.maximizing_average),
        *(
            (floors[max(place - 1, 0) : place + 1], band.winner)
            for place, band in enumerate(found.floor_constraint)
        ),
        (floors[-1:], found.floor_constraint_unsatisfied),
        *(
            (sorted(ranges[max(place - 1, 0) : place + 1]), band.winner)
            for place, band in enumerate(found.range_constraint)
        ),
        (ranges[-1:], found.range_constraint_unsatisfied),
    ]


def test_the_consequences_of_the_sample_read_like_this() -> None:
    assert consequences(tables()["sample"], Averages.PLAIN, LanguageManager(Language.ENGLISH)) == (
        "Maximizing the floor income picks distribution 4.\n"
        "Maximizing the average income picks distribution 1.\n"
        "Maximizing the average income with a floor constraint depends on the amount:\n"
        "- an amount up to $12,000 picks distribution 1\n"
        "- an amount above $12,000 and up to $14,000 picks distribution 3\n"
        "- an amount above $14,000 and up to $15,000 picks distribution 4\n"
        "- above $15,000 no distribution meets the constraint; the one with the highest floor is picked: "
        "distribution 4\n"
        "Maximizing the average income with a range constraint depends on the amount:\n"
        "- an amount of $20,000 or more picks distribution 1\n"
        "- an amount of $17,000 or more, but below $20,000, picks distribution 3\n"
        "- an amount of $15,000 or more, but below $17,000, picks distribution 2\n"
        "- an amount of $6,000 or more, but below $15,000, picks distribution 4\n"
        "- below $6,000 no distribution meets the constraint; the one with the smallest range is picked: "
        "distribution 4"
    )


@pytest.mark.parametrize("language", Language)
def test_a_table_shows_incomes_average_floor_and_range_of_each_distribution(language: Language) -> None:
    lines = table(tables()["C"], Averages.WEIGHTED, LanguageManager(language)).splitlines()

    assert [amounts(line) for line in lines] == [
        [100_000, 30_000, 20_000, 15_000, 13_000, 19_500, 13_000, 87_000],
        [35_000, 30_000, 25_000, 20_000, 8_000, 22_350, 8_000, 27_000],
        [30_000, 25_000, 23_000, 15_000, 12_000, 20_000, 12_000, 18_000],
        [24_000, 23_000, 22_000, 21_000, 11_000, 20_710, 11_000, 13_000],
    ]


def test_the_chances_are_told_as_they_are_or_as_equal() -> None:
    english, spanish = LanguageManager(Language.ENGLISH), LanguageManager(Language.SPANISH)

    assert "high 1.33%, medium high 4.33%, medium 58.33%, medium low 26%, low 10%" in chances(
        tables()["C"], english
    )
    assert "alta 1,33 %; media alta 4,33 %" in chances(tables()["C"], spanish)
    assert "equally likely" in chances(DistributionSet("base", tables()["C"].distributions), english)


@pytest.mark.parametrize("language", Language)
def test_the_principles_are_told_under_their_own_numbers(language: Language) -> None:
    text = LanguageManager(language)

    four, seven = descriptions(FOUR_PRINCIPLES, text), descriptions(Principle, text)

    assert seven.startswith(four)
    assert [line[0] for line in seven.splitlines()] == list("1234567")
    assert all(
        text.principle(principle) in line
        for principle, line in zip(Principle, seven.splitlines(), strict=True)
    )


def test_a_set_without_a_range_says_nothing_of_an_amount_that_is_too_small() -> None:
    equal = DistributionSet.of("equal", ((30_000,) * 5, (20_000,) * 5), (Decimal("0.2"),) * 5)

    lines = consequences(equal, Averages.PLAIN, LanguageManager(Language.ENGLISH)).splitlines()

    assert lines[-1] == "- an amount of $1 or more picks distribution 1"


def test_a_set_whose_lowest_class_has_nothing_has_no_floor_that_could_be_met() -> None:
    bare = DistributionSet.of("bare", ((30_000, 20_000, 10_000, 5_000, 0), (9_000, 8_000, 7_000, 6_000, 0)))

    lines = consequences(bare, Averages.PLAIN, LanguageManager(Language.ENGLISH)).splitlines()

    assert lines[3].startswith("- above $0 no distribution meets the constraint")
    assert lines[3].endswith("distribution 1")
