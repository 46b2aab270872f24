"""Sets: their averages, their multiplier, and what is no set."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.experiment.terms import Averages, IncomeClass
from tests.unit.experiment.principles.sets import made, rows, weights
from workers.experiment.principles.distribution import Distribution, DistributionSet
from workers.experiment.principles.dynamic import draw_multiplier, scaled
from workers.experiment.principles.tables import table, tables


@given(rows=rows, weights=weights)
def test_an_average_is_exact_and_weighted_without_probabilities_is_plain(
    rows: list[tuple[int, ...]], weights: list[int]
) -> None:
    for distribution in made(rows, weights):
        weighted = sum(w * income for w, income in zip(weights, distribution.incomes, strict=True))
        plain = Fraction(sum(distribution.incomes), 5)
        assert made(rows, weights).average(distribution, Averages.WEIGHTED) == Fraction(weighted, 100)
        assert made(rows, weights).average(distribution, Averages.PLAIN) == plain
        assert made(rows, None).average(distribution, Averages.WEIGHTED) == plain


def test_probabilities_that_miss_one_by_their_rounding_are_taken_in_proportion() -> None:
    thirds = (Decimal("0.3333333"),) * 3 + (Decimal(0),) * 2
    one = DistributionSet.of("thirds", ((9, 6, 3, 2, 1),), thirds)

    assert one.average(one.numbered(1), Averages.WEIGHTED) == 6
    assert one.shares[0] == one.shares[2] > one.shares[4] == 0


@given(
    lowest=st.decimals("0.01", "5", places=2),
    width=st.decimals("0.01", "5", places=2),
    seed=st.integers(0, 2**31),
    rows=rows,
)
def test_the_dynamic_mode_scales_every_income_by_one_multiplier_and_cuts_to_dollars(
    lowest: Decimal, width: Decimal, seed: int, rows: list[tuple[int, ...]]
) -> None:
    multiplier = draw_multiplier(Random(seed), lowest, lowest + width)

    assert lowest <= multiplier <= lowest + width
    for base, distribution in zip(rows, scaled(made(rows, None), multiplier), strict=True):
        for income, became in zip(base, distribution.incomes, strict=True):
            assert became <= Fraction(multiplier) * income < became + 1


def test_a_multiplier_is_not_stopped_by_what_a_binary_fraction_cannot_hold() -> None:
    # 0.29 * 100 is 28.999999999999996 as a float.
    assert scaled(made([(100, 100, 100, 100, 100)], None), Decimal("0.29")).floors == (29,)


@pytest.mark.parametrize("multiplier", ["0", "-1"])
def test_a_multiplier_that_is_not_above_zero_is_refused(multiplier: str) -> None:
    with pytest.raises(ValueError, match="multiplier: it must be greater than 0"):
        scaled(table("sample"), Decimal(multiplier))


@pytest.mark.parametrize(
    ("incomes", "wrong"),
    [
        ((5, 4, 3, 2), "incomes of distribution 1: 5 are expected"),
        ((5, 4, 3, 2, 3), "incomes of distribution 1: none may be negative, or higher"),
        ((5, 4, 3, 2, -1), "incomes of distribution 1: none may be negative, or higher"),
    ],
)
def test_incomes_that_are_no_distribution_are_refused(incomes: tuple[int, ...], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Distribution(1, incomes)


@pytest.mark.parametrize(
    ("probabilities", "wrong"),
    [
        ("0.5 0.5", "5 are expected"),
        ("-0.1 0.5 0.2 0.2 0.2", "none of them negative"),
        ("0.2 0.2 0.2 0.2 0.1", "sum to 0.9, not to 1"),
    ],
)
def test_probabilities_that_are_none_are_refused(probabilities: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        DistributionSet.of("made", ((5, 4, 3, 2, 1),), tuple(map(Decimal, probabilities.split())))


def test_distributions_that_do_not_count_from_one_are_refused() -> None:
    with pytest.raises(ValueError, match="numbered from 1"):
        DistributionSet("made", (Distribution(2, (5, 4, 3, 2, 1)),))


def test_a_table_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="no table 'E'; the tables are sample, A, B, C, D"):
        table("E")


def test_the_probabilities_of_the_tables_sum_to_one_exactly() -> None:
    for distributions in tables().values():
        assert distributions.probabilities is not None
        assert sum(distributions.probabilities) == 1


def test_a_class_has_its_own_income() -> None:
    distribution = table("sample").numbered(1)

    assert {income_class: distribution.income(income_class) for income_class in IncomeClass} == {
        IncomeClass.HIGH: 32_000,
        IncomeClass.MEDIUM_HIGH: 27_000,
        IncomeClass.MEDIUM: 24_000,
        IncomeClass.MEDIUM_LOW: 13_000,
        IncomeClass.LOW: 12_000,
    }
    with pytest.raises(KeyError, match="no distribution 0"):
        table("sample").numbered(0)
