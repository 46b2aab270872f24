"""What the same class would have been paid under each of the four principles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Averages, IncomeClass, Principle
from workers.experiment.principles.distribution import DistributionSet
from workers.experiment.principles.rules import payoff, select
from workers.experiment.records import Choice


def counterfactual_choices(distributions: DistributionSet, choice: Choice | None) -> tuple[Choice, ...]:
    """The four principles, each as it would be applied to this set.

    The principle of ``choice`` keeps its own amount. The amount of the other constrained ones is the upper
    median of the set's floors, or of its ranges: always one that some distribution meets.
    """
    amounts = {
        Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT: _upper_median(distributions.floors),
        Principle.MAXIMIZING_AVERAGE_RANGE_CONSTRAINT: _upper_median(distributions.ranges),
    }
    return tuple(
        choice
        if choice is not None and choice.principle is principle
        else Choice(principle, amounts.get(principle))
        for principle in FOUR_PRINCIPLES
    )


def counterfactual_payoffs(
    distributions: DistributionSet, income_class: IncomeClass, choice: Choice | None, averages: Averages
) -> Mapping[Principle, Decimal]:
    """What the class is paid under each of :func:`counterfactual_choices`."""
    return {
        other.principle: payoff(
            distributions.numbered(select(distributions, other, averages).distribution).income(income_class)
        )
        for other in counterfactual_choices(distributions, choice)
    }


def counterfactual_amounts(distributions: DistributionSet, choice: Choice | None) -> Mapping[Principle, int]:
    """The amounts of :func:`counterfactual_choices`, of the constrained ones."""
    return {
        other.principle: other.amount
        for other in counterfactual_choices(distributions, choice)
        if other.principle.constrained and other.amount is not None
    }


@dataclass(frozen=True, slots=True)
class Tested:
    """One choice applied to a set."""

    choice: Choice
    distribution: int
    binding: bool


def every_choice(distributions: DistributionSet, averages: Averages) -> Sequence[Tested]:
    """The four principles, the constrained ones with every distinct floor or range of the set as amount."""
    choices = [
        Choice(Principle.MAXIMIZING_FLOOR),
        Choice(Principle.MAXIMIZING_AVERAGE),
        *(
            Choice(Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT, amount)
            for amount in sorted(set(distributions.floors))
            if amount > 0
        ),
        *(
            Choice(Principle.MAXIMIZING_AVERAGE_RANGE_CONSTRAINT, amount)
            for amount in sorted(set(distributions.ranges))
            if amount > 0
        ),
    ]
    selections = [(choice, select(distributions, choice, averages)) for choice in choices]
    return [Tested(choice, found.distribution, found.binding) for choice, found in selections]


def _upper_median(values: Sequence[int]) -> int:
    """The middle one, of an even number the upper of the two; at least 1, as every amount is."""
    return max(sorted(values)[len(values) // 2], 1)
