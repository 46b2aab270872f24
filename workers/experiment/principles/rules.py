"""The principles as rules: which distribution each one picks, and what an income pays.

The four of the experiment are Frohlich and Oppenheimer's. The further ones follow the same pattern: one
extreme value, or the highest average of those that keep within an amount, and when none does, the one that
comes nearest to it. Of equals the first in the set is picked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from shared.schemas.experiment.terms import Averages, Principle
from workers.experiment.principles.distribution import Distribution, DistributionSet
from workers.experiment.records import Choice

#: Dollars of yearly income that one dollar is paid for.
INCOME_PER_DOLLAR = 10_000
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a principle picks out of a set; distributions by their numbers.

    Attributes:
        distribution: the one that is picked.
        satisfied: whether some distribution meets the constraint; ``True`` without one.
        binding: whether the constraint changes what is picked: without it another one would be, or no
            distribution meets it.
        tied: all that the rule holds equal to what is picked, and that itself.
        qualifying: those that meet the constraint; all of them without one.
    """

    distribution: int
    satisfied: bool
    binding: bool
    tied: tuple[int, ...]
    qualifying: tuple[int, ...]


def select(distributions: DistributionSet, choice: Choice, averages: Averages) -> Selection:
    """What ``choice`` picks. The amount of a choice whose principle needs none is not looked at.

    Raises:
        ValueError: the principle needs an amount, and there is none, or it is not greater than 0.
    """
    objective = _objective(distributions, choice.principle, averages)
    free = _best(distributions.distributions, objective)
    everything = tuple(distribution.number for distribution in distributions)
    if not choice.principle.constrained:
        return Selection(
            distribution=free[0], satisfied=True, binding=False, tied=free, qualifying=everything
        )
    amount = choice.amount
    if amount is None or amount <= 0:
        raise ValueError(
            f"amount of {choice.principle.value}: whole dollars greater than 0 are needed, not {amount}"
        )
    nearness = _NEARNESS[choice.principle]
    bound = amount if choice.principle is Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT else -amount
    qualifying = [distribution for distribution in distributions if nearness(distribution) >= bound]
    tied = _best(qualifying, objective) if qualifying else _best(distributions.distributions, nearness)
    return Selection(
        distribution=tied[0],
        satisfied=bool(qualifying),
        binding=not qualifying or tied[0] != free[0],
        tied=tied,
        qualifying=tuple(distribution.number for distribution in qualifying),
    )


def payoff(income: int) -> Decimal:
    """What a yearly income pays, in dollars: one for every 10,000, rounded half up to the cent."""
    return (Decimal(income) / INCOME_PER_DOLLAR).quantize(_CENT, rounding=ROUND_HALF_UP)


_Measure = Callable[[Distribution], int | Fraction]

#: How near a distribution comes to meeting a constraint: it is met from the amount on, or from its negative.
_NEARNESS: dict[Principle, _Measure] = {
    Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT: lambda distribution: distribution.low,
    Principle.MAXIMIZING_AVERAGE_RANGE_CONSTRAINT: lambda distribution: -distribution.range,
    Principle.MAXIMIZING_AVERAGE_CEILING_CONSTRAINT: lambda distribution: -distribution.high,
}

_EXTREMES: dict[Principle, _Measure] = {
    Principle.MAXIMIZING_FLOOR: lambda distribution: distribution.low,
    Principle.MINIMIZING_RANGE: lambda distribution: -distribution.range,
    Principle.MAXIMIZING_MEDIAN: lambda distribution: distribution.median,
}


def _objective(distributions: DistributionSet, principle: Principle, averages: Averages) -> _Measure:
    """What the principle wants as high as it can be."""
    extreme = _EXTREMES.get(principle)
    return extreme or (lambda distribution: distributions.average(distribution, averages))


def _best(distributions: Sequence[Distribution], measure: _Measure) -> tuple[int, ...]:
    values = [measure(distribution) for distribution in distributions]
    best = max(values)
    return tuple(
        distribution.number
        for distribution, value in zip(distributions, values, strict=True)
        if value == best
    )
