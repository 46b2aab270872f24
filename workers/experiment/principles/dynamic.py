"""The dynamic mode: the sample table, all of it scaled by one multiplier."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from random import Random

from workers.experiment.principles.distribution import Distribution, DistributionSet

#: A multiplier is one of so many equal steps from the lowest to the highest one.
_STEPS = 1_000_000


def draw_multiplier(generator: Random, lowest: Decimal, highest: Decimal) -> Decimal:
    """A multiplier from ``lowest`` to ``highest``, both possible, all steps between them equally likely."""
    step = generator.randrange(_STEPS + 1)
    return lowest + (highest - lowest) * step / _STEPS


def scaled(distributions: DistributionSet, multiplier: Decimal) -> DistributionSet:
    """The set with every income multiplied, and cut to whole dollars.

    Raises:
        ValueError: the multiplier is not greater than 0.
    """
    if multiplier <= 0:
        raise ValueError(f"multiplier: it must be greater than 0, not {multiplier}")
    exact = Fraction(multiplier)
    return DistributionSet(
        distributions.name,
        tuple(
            Distribution(distribution.number, tuple(int(income * exact) for income in distribution.incomes))
            for distribution in distributions
        ),
        distributions.probabilities,
    )
