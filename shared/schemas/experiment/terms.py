"""The terms of the experiment: principles, income classes, certainty."""

from __future__ import annotations

from enum import StrEnum


class Principle(StrEnum):
    """A principle of distributive justice: a rule that picks one income distribution out of several.

    The first four are those of Frohlich and Oppenheimer's experiment; the others are what an agent may add to
    an open agenda.
    """

    #: The distribution with the highest income of the lowest class.
    MAXIMIZING_FLOOR = "maximizing_floor"
    #: The distribution with the highest average income.
    MAXIMIZING_AVERAGE = "maximizing_average"
    #: The highest average of those whose lowest income is at least an amount.
    MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT = "maximizing_average_floor_constraint"
    #: The highest average of those whose range (highest less lowest income) is at most an amount.
    MAXIMIZING_AVERAGE_RANGE_CONSTRAINT = "maximizing_average_range_constraint"
    #: The distribution with the smallest range.
    MINIMIZING_RANGE = "minimizing_range"
    #: The distribution with the highest income of the middle class.
    MAXIMIZING_MEDIAN = "maximizing_median"
    #: The highest average of those whose highest income is at most an amount.
    MAXIMIZING_AVERAGE_CEILING_CONSTRAINT = "maximizing_average_ceiling_constraint"

    @property
    def constrained(self) -> bool:
        """Whether the principle needs an amount."""
        return self in _CONSTRAINED

    @property
    def number(self) -> int:
        """1 to 4 for the principles of the experiment; on an open agenda 5 to 7 for the further ones."""
        return list(Principle).index(self) + 1


_CONSTRAINED = frozenset(
    {
        Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT,
        Principle.MAXIMIZING_AVERAGE_RANGE_CONSTRAINT,
        Principle.MAXIMIZING_AVERAGE_CEILING_CONSTRAINT,
    }
)

#: The four principles that every agent learns and ranks.
FOUR_PRINCIPLES = tuple(Principle)[:4]
#: What may be added to an open agenda.
FURTHER_PRINCIPLES = tuple(Principle)[4:]


class IncomeClass(StrEnum):
    """A place in society, from the best paid to the worst."""

    HIGH = "high"
    MEDIUM_HIGH = "medium_high"
    MEDIUM = "medium"
    MEDIUM_LOW = "medium_low"
    LOW = "low"


class Certainty(StrEnum):
    """How sure an agent is of a ranking or a choice; from 1 to 5."""

    VERY_UNSURE = "very_unsure"
    UNSURE = "unsure"
    NO_OPINION = "no_opinion"
    SURE = "sure"
    VERY_SURE = "very_sure"

    @property
    def level(self) -> int:
        """1 (very unsure) to 5 (very sure)."""
        return list(Certainty).index(self) + 1


class Language(StrEnum):
    """The languages that an experiment can be held in."""

    ENGLISH = "english"
    SPANISH = "spanish"
    MANDARIN = "mandarin"


class Averages(StrEnum):
    """How the average of a distribution is taken, everywhere in a run."""

    #: Weighted by the probabilities of the classes, where they are given.
    WEIGHTED = "weighted"
    #: The mean of the five incomes.
    PLAIN = "plain"
