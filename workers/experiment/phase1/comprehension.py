"""The comprehension test: which distribution does each rule pick? The right answers are computed."""

from __future__ import annotations

from dataclasses import dataclass

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Averages, Principle
from workers.experiment.principles.distribution import DistributionSet
from workers.experiment.principles.rules import select
from workers.experiment.records import Choice


@dataclass(frozen=True)
class Sitting:
    """One version of the test.

    Attributes:
        distributions: that it is about; in none of the paid rounds are they chosen from.
        floor: the amount of the question on the floor constraint, in dollars a year.
        range: of the one on the range constraint.
    """

    distributions: DistributionSet
    floor: int
    range: int

    @property
    def questions(self) -> tuple[Choice, ...]:
        """What is to be applied, question by question: the four principles in their order."""
        amounts = {
            Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT: self.floor,
            Principle.MAXIMIZING_AVERAGE_RANGE_CONSTRAINT: self.range,
        }
        return tuple(Choice(principle, amounts.get(principle)) for principle in FOUR_PRINCIPLES)

    def answers(self, averages: Averages) -> tuple[int, ...]:
        """The number of the distribution that each question asks for."""
        return tuple(select(self.distributions, choice, averages).distribution for choice in self.questions)


#: The two versions. Incomes are round and every question has another answer, so that reading the rule is what
#: is tested, and no arithmetic.
SITTINGS = (
    Sitting(
        DistributionSet.of(
            "comprehension 1",
            (
                (30_000, 25_000, 20_000, 15_000, 10_000),
                (26_000, 24_000, 22_000, 14_000, 12_000),
                (40_000, 30_000, 20_000, 12_000, 8_000),
                (18_000, 17_000, 16_000, 15_000, 14_000),
            ),
        ),
        floor=10_000,
        range=14_000,
    ),
    Sitting(
        DistributionSet.of(
            "comprehension 2",
            (
                (20_000, 19_000, 18_000, 17_000, 16_000),
                (50_000, 35_000, 25_000, 12_000, 8_000),
                (28_000, 26_000, 24_000, 14_000, 13_000),
                (36_000, 28_000, 22_000, 18_000, 11_000),
            ),
        ),
        floor=11_000,
        range=15_000,
    ),
)
