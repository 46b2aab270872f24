"""The published tables and the payoff rule, as a researcher meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest

from shared.schemas.experiment.terms import Averages, Principle
from workers.experiment.principles.rules import payoff, select
from workers.experiment.principles.tables import table
from workers.experiment.records import Choice

#: Floors, ranges, plain averages, and weighted averages rounded to ten cents, as published.
PUBLISHED = {
    "sample": (
        [12_000, 13_000, 14_000, 15_000],
        [20_000, 15_000, 17_000, 6_000],
        [21_600, 20_000, 21_200, 18_200],
        ["20750.0", "19150.0", "19850.0", "18050.0"],
    ),
    "A": (
        [12_000, 10_000, 6_000, 13_000],
        [16_000, 25_000, 24_000, 12_000],
        [20_000, 23_000, 24_000, 19_000],
        ["20000.0", "23500.0", "26000.0", "19000.0"],
    ),
    "B": (
        [13_000, 12_500, 8_000, 11_000],
        [4_000, 17_500, 32_000, 15_000],
        [15_000, 20_500, 24_600, 20_600],
        ["14789.2", "19195.9", "23561.2", "20878.4"],
    ),
    "C": (
        [13_000, 8_000, 12_000, 11_000],
        [87_000, 27_000, 18_000, 13_000],
        [35_600, 23_600, 21_000, 20_200],
        ["19500.1", "22350.0", "20000.0", "20710.0"],
    ),
    "D": (
        [13_000, 12_000, 12_000, 14_000],
        [22_000, 18_000, 8_000, 16_000],
        [24_600, 24_000, 16_000, 23_200],
        ["23550.0", "24500.0", "15500.0", "22700.0"],
    ),
}

SAMPLE_WINNERS = {
    "maximizing_floor": 4,
    "maximizing_average": 1,
    "floor_constraint": [
        {"up_to": 12_000, "winner": 1},
        {"up_to": 14_000, "winner": 3},
        {"up_to": 15_000, "winner": 4},
    ],
    "floor_constraint_unsatisfied": 4,
    "range_constraint": [
        {"at_least": 20_000, "winner": 1},
        {"at_least": 17_000, "winner": 3},
        {"at_least": 15_000, "winner": 2},
        {"at_least": 6_000, "winner": 4},
    ],
    "range_constraint_unsatisfied": 4,
}

FLOOR = Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT
RANGE = Principle.MAXIMIZING_AVERAGE_RANGE_CONSTRAINT


def tenths(value: Fraction) -> str:
    return str((Decimal(value.numerator) / value.denominator).quantize(Decimal("0.1"), ROUND_HALF_UP))


@pytest.mark.parametrize("name", PUBLISHED)
def test_floors_ranges_and_averages_of_a_table_are_the_published_ones(name: str) -> None:
    floors, ranges, plain, weighted = PUBLISHED[name]
    found = table(name)

    assert list(found.floors) == floors
    assert list(found.ranges) == ranges
    assert [found.average(distribution, Averages.PLAIN) for distribution in found] == plain
    assert [tenths(found.average(distribution, Averages.WEIGHTED)) for distribution in found] == weighted


def parley(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli.main", "experiment", "table", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("averages", [[], ["--averages", "plain"], ["--averages", "weighted"]])
def test_the_command_line_tells_the_winners_of_the_sample_table(averages: list[str]) -> None:
    answer = parley("sample", "--json", *averages)

    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == SAMPLE_WINNERS


@pytest.mark.parametrize(
    ("principle", "amount", "winner", "satisfied"),
    [
        (FLOOR, 1, 1, True),
        (FLOOR, 12_000, 1, True),
        (FLOOR, 12_001, 3, True),
        # Distribution 3 for both: printed wrongly before, as 1 or 2.
        (FLOOR, 13_000, 3, True),
        (FLOOR, 14_000, 3, True),
        (FLOOR, 14_001, 4, True),
        (FLOOR, 15_000, 4, True),
        (FLOOR, 15_001, 4, False),
        (RANGE, 1_000_000, 1, True),
        (RANGE, 20_000, 1, True),
        (RANGE, 19_999, 3, True),
        (RANGE, 17_000, 3, True),
        (RANGE, 16_999, 2, True),
        (RANGE, 15_000, 2, True),
        (RANGE, 14_999, 4, True),
        (RANGE, 6_000, 4, True),
        (RANGE, 5_999, 4, False),
        (RANGE, 1, 4, False),
    ],
)
@pytest.mark.parametrize("averages", Averages)
def test_the_winner_changes_exactly_at_the_published_amounts(
    principle: Principle, amount: int, winner: int, satisfied: bool, averages: Averages
) -> None:
    selection = select(table("sample"), Choice(principle, amount), averages)

    assert (selection.distribution, selection.satisfied) == (winner, satisfied)


@pytest.mark.parametrize("name", ["C", "D"])
def test_the_weighted_average_picks_another_distribution_than_the_plain_one(name: str) -> None:
    choice = Choice(Principle.MAXIMIZING_AVERAGE)
    plain, weighted = (
        select(table(name), choice, averages).distribution for averages in (Averages.PLAIN, Averages.WEIGHTED)
    )

    assert (plain, weighted) == (1, 2)


@pytest.mark.parametrize(
    ("income", "dollars"),
    [
        (0, "0.00"),
        (10_000, "1.00"),
        (32_000, "3.20"),
        (100_000, "10.00"),
        # Half a cent is rounded up, also where a binary fraction would fall below it.
        (49, "0.00"),
        (50, "0.01"),
        (10_050, "1.01"),
        (11_450, "1.15"),
        (26_750, "2.68"),
        (12_349, "1.23"),
    ],
)
def test_ten_thousand_dollars_of_income_pay_one_dollar_rounded_half_up_to_the_cent(
    income: int, dollars: str
) -> None:
    assert str(payoff(income)) == dollars
