"""The principles once more, as one would go about them by hand: comparing every pair, in whole numbers."""

from __future__ import annotations

from shared.schemas.experiment.terms import Principle

Rows = list[tuple[int, ...]]


def total(row: tuple[int, ...], weights: list[int]) -> int:
    """The average, times the same number for every row."""
    return sum(income for income, weight in zip(row, weights, strict=True) for _ in range(weight))


def beats(row: tuple[int, ...], other: tuple[int, ...], want: str, weights: list[int]) -> bool:
    if want == "average":
        return total(row, weights) > total(other, weights)
    if want == "floor":
        return min(row) > min(other)
    if want == "small range":
        return max(row) - min(row) < max(other) - min(other)
    if want == "middle":
        return sorted(row)[2] > sorted(other)[2]
    return max(row) < max(other)


def meets(row: tuple[int, ...], principle: Principle, amount: int) -> bool:
    match principle:
        case Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT:
            return all(income >= amount for income in row)
        case Principle.MAXIMIZING_AVERAGE_RANGE_CONSTRAINT:
            return all(one - other <= amount for one in row for other in row)
        case _:
            return not any(income > amount for income in row)


WANTS = {
    Principle.MAXIMIZING_FLOOR: "floor",
    Principle.MAXIMIZING_AVERAGE: "average",
    Principle.MINIMIZING_RANGE: "small range",
    Principle.MAXIMIZING_MEDIAN: "middle",
}
ELSE_WANTS = {
    Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT: "floor",
    Principle.MAXIMIZING_AVERAGE_RANGE_CONSTRAINT: "small range",
    Principle.MAXIMIZING_AVERAGE_CEILING_CONSTRAINT: "low top",
}


def unbeaten(rows: Rows, numbers: list[int], want: str, weights: list[int]) -> list[int]:
    """Of those with these numbers, the ones that none of them beats."""
    return [
        number
        for number in numbers
        if not any(beats(rows[other - 1], rows[number - 1], want, weights) for other in numbers)
    ]


def judge(
    rows: Rows, principle: Principle, amount: int | None, weights: list[int]
) -> tuple[int, list[int], list[int] | None]:
    """The winner, all that equal it, and those that meet the constraint (``None`` without one)."""
    everything = list(range(1, len(rows) + 1))
    if principle in WANTS:
        best = unbeaten(rows, everything, WANTS[principle], weights)
        return best[0], best, None
    assert amount is not None
    meeting = [number for number in everything if meets(rows[number - 1], principle, amount)]
    if meeting:
        best = unbeaten(rows, meeting, "average", weights)
    else:
        best = unbeaten(rows, everything, ELSE_WANTS[principle], weights)
    return best[0], best, meeting
