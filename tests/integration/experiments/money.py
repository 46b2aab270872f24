"""The money of a run, worked out anew from the printed sample table: nothing of Parley's takes part in it."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

SAMPLE = (
    (32_000, 27_000, 24_000, 13_000, 12_000),
    (28_000, 22_000, 20_000, 17_000, 13_000),
    (31_000, 24_000, 21_000, 16_000, 14_000),
    (21_000, 20_000, 19_000, 16_000, 15_000),
)
CLASSES = ("high", "medium_high", "medium", "medium_low", "low")
FLOOR, AVERAGE = "maximizing_floor", "maximizing_average"
WITH_FLOOR, WITH_RANGE = "maximizing_average_floor_constraint", "maximizing_average_range_constraint"
LEAST_RANGE = "minimizing_range"


def scaled(multiplier: Any) -> list[list[int]]:
    """The sample table times a multiplier, in whole dollars."""
    exact = Decimal(str(multiplier))
    return [[int(income * exact) for income in row] for row in SAMPLE]


def winner(table: list[list[int]], principle: str, amount: int | None = None) -> tuple[int, bool]:
    """Which distribution a principle picks, from 1, and whether its amount makes a difference."""
    rows = range(len(table))
    averages = [sum(row) for row in table]
    plain = max(rows, key=lambda row: averages[row])
    if principle == FLOOR:
        return max(rows, key=lambda row: table[row][-1]) + 1, False
    if principle == AVERAGE:
        return plain + 1, False
    if principle == LEAST_RANGE:
        return min(rows, key=lambda row: table[row][0] - table[row][-1]) + 1, False
    assert amount is not None
    if principle == WITH_FLOOR:
        met = [row for row in rows if table[row][-1] >= amount]
        nearest = max(rows, key=lambda row: table[row][-1])
    else:
        met = [row for row in rows if table[row][0] - table[row][-1] <= amount]
        nearest = min(rows, key=lambda row: table[row][0] - table[row][-1])
    picked = max(met, key=lambda row: averages[row]) if met else nearest
    return picked + 1, not met or picked != plain


def paid(income: int) -> float:
    """One dollar for 10,000, rounded half up to the cent."""
    return float((Decimal(income) / 10_000).quantize(Decimal("0.01"), ROUND_HALF_UP))


def check(earning: dict[str, Any], table: list[list[int]]) -> None:
    """An earning of a result is what the table says of its distribution and class."""
    assert earning["distributions"] == table
    place = CLASSES.index(earning["class_put_in"])
    assert earning["income"] == table[earning["distribution"] - 1][place]
    assert earning["payoff_received"] == paid(earning["income"])
    for principle, payoff in earning["counterfactual_payoffs"].items():
        amount = earning["counterfactual_amounts"].get(principle)
        number, _ = winner(table, principle, amount)
        assert payoff == paid(table[number - 1][place]), principle


def check_choice(earning: dict[str, Any], principle: str, amount: int | None) -> None:
    """An earning is of what a choice picks, by plain averages, and tells whether its amount mattered."""
    table = earning["distributions"]
    assert (earning["distribution"], earning["constraint_binding"]) == winner(table, principle, amount)
    check(earning, table)
