"""Income distributions, and sets of them: what a principle chooses from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from math import lcm

from shared.schemas.experiment.terms import Averages, IncomeClass

#: The classes in the order in which incomes are given.
CLASSES = tuple(IncomeClass)


@dataclass(frozen=True, slots=True)
class Distribution:
    """The yearly incomes of the five classes of a society.

    Attributes:
        number: its place in its set, from 1.
        incomes: in whole dollars, from the high class to the low one; none is higher than the one before.

    Raises:
        ValueError: there are not five of them, or they are not in that order, or one is negative.
    """

    number: int
    incomes: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.incomes) != len(CLASSES):
            raise ValueError(
                f"incomes of distribution {self.number}: {len(CLASSES)} are expected, from the high class to "
                f"the low one, not {len(self.incomes)}"
            )
        if list(self.incomes) != sorted(self.incomes, reverse=True) or self.low < 0:
            raise ValueError(
                f"incomes of distribution {self.number}: none may be negative, or higher than that of the "
                f"class above: {', '.join(map(str, self.incomes))}"
            )

    def income(self, income_class: IncomeClass) -> int:
        """Of this class, in dollars a year."""
        return self.incomes[CLASSES.index(income_class)]

    @property
    def high(self) -> int:
        """Income of the highest class."""
        return self.incomes[0]

    @property
    def median(self) -> int:
        """Income of the middle class."""
        return self.incomes[len(self.incomes) // 2]

    @property
    def low(self) -> int:
        """Income of the lowest class: the floor."""
        return self.incomes[-1]

    @property
    def range(self) -> int:
        """The highest income less the lowest one."""
        return self.high - self.low


@dataclass(frozen=True)
class DistributionSet:
    """What can be chosen from, and how likely each class is.

    Attributes:
        name: of the table that it is, or was made from.
        distributions: in the order that decides ties, numbered from 1.
        probabilities: of the classes, in the order of the incomes; ``None``: all are equally likely.

    Raises:
        ValueError: the numbers do not count from 1, or the probabilities are not five, or one is negative, or
            they do not sum to 1.
    """

    name: str
    distributions: tuple[Distribution, ...]
    probabilities: tuple[Decimal, ...] | None = None

    def __post_init__(self) -> None:
        numbers = [distribution.number for distribution in self.distributions]
        if not numbers or numbers != list(range(1, len(numbers) + 1)):
            raise ValueError(f"distributions of {self.name}: they are numbered from 1, not {numbers}")
        if self.probabilities is None:
            return
        if len(self.probabilities) != len(CLASSES) or min(self.probabilities) < 0:
            raise ValueError(
                f"probabilities of {self.name}: {len(CLASSES)} are expected, none of them negative: "
                f"{', '.join(map(str, self.probabilities))}"
            )
        if abs(sum(self.probabilities, Decimal(-1))) > _ROUNDING:
            raise ValueError(
                f"probabilities of {self.name}: they sum to {sum(self.probabilities, Decimal(0))}, not to 1"
            )

    @classmethod
    def of(
        cls,
        name: str,
        incomes: tuple[tuple[int, ...], ...],
        probabilities: tuple[Decimal, ...] | None = None,
    ) -> DistributionSet:
        """A set of the distributions with these incomes, numbered as they stand."""
        return cls(
            name, tuple(Distribution(number, row) for number, row in enumerate(incomes, 1)), probabilities
        )

    def __iter__(self) -> Iterator[Distribution]:
        return iter(self.distributions)

    def __len__(self) -> int:
        return len(self.distributions)

    def numbered(self, number: int) -> Distribution:
        """The distribution with this number, from 1.

        Raises:
            KeyError: there is none.
        """
        if not 1 <= number <= len(self.distributions):
            raise KeyError(f"{self.name} has no distribution {number}")
        return self.distributions[number - 1]

    def average(self, distribution: Distribution, averages: Averages) -> Fraction:
        """The average income, exactly; weighted without probabilities is plain."""
        shares = self.shares if averages is Averages.WEIGHTED else (1,) * len(CLASSES)
        return Fraction(
            sum(share * income for share, income in zip(shares, distribution.incomes, strict=True)),
            sum(shares),
        )

    @cached_property
    def shares(self) -> tuple[int, ...]:
        """The probabilities as whole numbers in the same proportion; what a class is drawn by."""
        if self.probabilities is None:
            return (1,) * len(CLASSES)
        exact = [Fraction(probability) for probability in self.probabilities]
        whole = lcm(*(fraction.denominator for fraction in exact))
        return tuple(int(fraction * whole) for fraction in exact)

    @property
    def floors(self) -> tuple[int, ...]:
        """The lowest income of each distribution."""
        return tuple(distribution.low for distribution in self.distributions)

    @property
    def ranges(self) -> tuple[int, ...]:
        """The range of each distribution."""
        return tuple(distribution.range for distribution in self.distributions)


#: What written probabilities may miss 1 by.
_ROUNDING = Decimal("0.000001")
