"""Each principle picks what comparing all distributions by hand picks."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.experiment.terms import Averages, Principle
from tests.unit.experiment.principles.oracle import judge
from tests.unit.experiment.principles.sets import made, rows, weights
from workers.experiment.principles.dynamic import scaled
from workers.experiment.principles.rules import payoff, select
from workers.experiment.principles.tables import table
from workers.experiment.records import Choice

FLOOR = Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT
RANGE = Principle.MAXIMIZING_AVERAGE_RANGE_CONSTRAINT
CEILING = Principle.MAXIMIZING_AVERAGE_CEILING_CONSTRAINT


@given(
    rows=rows,
    weights=st.none() | weights,
    averages=st.sampled_from(Averages),
    principle=st.sampled_from(Principle),
    amount=st.integers(1, 20) | st.integers(1, 70_000),
)
def test_a_principle_picks_what_comparing_by_hand_picks(
    rows: list[tuple[int, ...]],
    weights: list[int] | None,
    averages: Averages,
    principle: Principle,
    amount: int,
) -> None:
    counted = weights if weights is not None and averages is Averages.WEIGHTED else [1] * 5
    winner, tied, meeting = judge(rows, principle, amount, counted)
    free, _, _ = judge(rows, Principle.MAXIMIZING_AVERAGE, None, counted)

    selection = select(made(rows, weights), Choice(principle, amount), averages)

    assert selection.distribution == winner
    assert list(selection.tied) == tied
    assert list(selection.qualifying) == (list(range(1, len(rows) + 1)) if meeting is None else meeting)
    assert selection.satisfied == (meeting is None or meeting != [])
    assert selection.binding == (meeting is not None and (meeting == [] or winner != free))


@given(rows=rows, weights=weights, amount=st.integers(1, 70_000), averages=st.sampled_from(Averages))
@pytest.mark.parametrize("principle", [FLOOR, RANGE, CEILING])
def test_a_constraint_that_does_not_bind_pays_as_the_average_alone(
    principle: Principle,
    rows: list[tuple[int, ...]],
    weights: list[int],
    amount: int,
    averages: Averages,
) -> None:
    distributions = made(rows, weights)
    constrained = select(distributions, Choice(principle, amount), averages)
    free = select(distributions, Choice(Principle.MAXIMIZING_AVERAGE), averages)

    assert constrained.binding == (not constrained.satisfied or constrained.distribution != free.distribution)


@pytest.mark.parametrize("multiplier", [2, 3, 6])
def test_a_floor_of_fourteen_thousand_does_not_bind_in_a_table_scaled_beyond_it(multiplier: int) -> None:
    selection = select(scaled(table("sample"), Decimal(multiplier)), Choice(FLOOR, 14_000), Averages.WEIGHTED)

    assert (selection.distribution, selection.binding) == (1, False)


def test_of_equals_the_first_in_the_set_is_picked() -> None:
    equal = made([(9, 8, 7, 6, 5), (11, 8, 6, 5, 5), (9, 8, 7, 6, 5)], None)

    for principle in Principle:
        selection = select(equal, Choice(principle, 5), Averages.PLAIN)
        assert selection.distribution == min(selection.tied), principle
    assert select(equal, Choice(Principle.MAXIMIZING_FLOOR), Averages.PLAIN).tied == (1, 2, 3)


@pytest.mark.parametrize("amount", [None, 0, -1])
@pytest.mark.parametrize("principle", [FLOOR, RANGE, CEILING])
def test_a_constraint_without_an_amount_is_refused_by_name(principle: Principle, amount: int | None) -> None:
    with pytest.raises(ValueError, match=rf"amount of {principle.value}: whole dollars greater than 0"):
        select(table("sample"), Choice(principle, amount), Averages.PLAIN)


@given(income=st.integers(0, 10**9))
def test_a_payoff_is_the_nearest_cent_and_of_two_the_higher(income: int) -> None:
    paid = payoff(income)

    exact = Fraction(income, 10_000)
    assert paid.as_tuple().exponent == -2
    assert -Fraction(1, 200) < Fraction(paid) - exact <= Fraction(1, 200)
