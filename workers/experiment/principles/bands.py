"""What each of the four principles picks out of a set, and from which amount on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from shared.schemas.experiment.terms import Averages, Principle
from workers.experiment.principles.distribution import DistributionSet
from workers.experiment.principles.rules import select
from workers.experiment.records import Choice


@dataclass(frozen=True, slots=True)
class Band:
    """The amounts that one distribution wins for.

    Attributes:
        amount: of floor constraints the highest one of the band, of range constraints the lowest one.
        winner: number of the distribution.
    """

    amount: int
    winner: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Winners:
    """What the four principles pick out of a set.

    Attributes:
        floor_constraint: bands by rising amount, each from above the one before; neighbours differ.
        floor_constraint_unsatisfied: who wins when no floor is as high as the amount.
        range_constraint: bands by falling amount, each up to below the one before; neighbours differ.
        range_constraint_unsatisfied: who wins when no range is as small as the amount.
    """

    maximizing_floor: int
    maximizing_average: int
    floor_constraint: tuple[Band, ...]
    floor_constraint_unsatisfied: int
    range_constraint: tuple[Band, ...]
    range_constraint_unsatisfied: int

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "maximizing_floor": self.maximizing_floor,
            "maximizing_average": self.maximizing_average,
            "floor_constraint": [
                {"up_to": band.amount, "winner": band.winner} for band in self.floor_constraint
            ],
            "floor_constraint_unsatisfied": self.floor_constraint_unsatisfied,
            "range_constraint": [
                {"at_least": band.amount, "winner": band.winner} for band in self.range_constraint
            ],
            "range_constraint_unsatisfied": self.range_constraint_unsatisfied,
        }


def winners(distributions: DistributionSet, averages: Averages) -> Winners:
    """Who wins under each principle, and for which amounts."""

    def winner(principle: Principle, amount: int | None = None) -> int:
        return select(distributions, Choice(principle, amount), averages).distribution

    floor = Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT
    within = Principle.MAXIMIZING_AVERAGE_RANGE_CONSTRAINT
    # No winner changes but at a floor or a range of the set; amounts are greater than 0.
    floors = sorted({amount for amount in distributions.floors if amount > 0})
    ranges = sorted({max(amount, 1) for amount in distributions.ranges}, reverse=True)
    return Winners(
        maximizing_floor=winner(Principle.MAXIMIZING_FLOOR),
        maximizing_average=winner(Principle.MAXIMIZING_AVERAGE),
        floor_constraint=_joined(Band(amount, winner(floor, amount)) for amount in floors),
        floor_constraint_unsatisfied=winner(floor, max(distributions.floors) + 1),
        range_constraint=_joined(Band(amount, winner(within, amount)) for amount in ranges),
        # The smallest range wins when none is small enough, whatever the amount.
        range_constraint_unsatisfied=winner(Principle.MINIMIZING_RANGE),
    )


def _joined(bands: Iterable[Band]) -> tuple[Band, ...]:
    """Neighbours with the same winner are one band, which ends where the last of them does."""
    joined: list[Band] = []
    for band in bands:
        if joined and joined[-1].winner == band.winner:
            joined.pop()
        joined.append(band)
    return tuple(joined)
