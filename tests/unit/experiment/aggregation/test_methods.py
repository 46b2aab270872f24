"""Each method elects whom its definition elects, ties included."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Principle
from tests.unit.experiment.aggregation import oracle
from workers.experiment.services.preferences import methods

FLOOR, AVERAGE, FLOOR_CONSTRAINT, RANGE_CONSTRAINT = FOUR_PRINCIPLES

orders = st.lists(st.permutations(FOUR_PRINCIPLES).map(tuple), min_size=1, max_size=7)


@given(orders=orders)
@pytest.mark.parametrize("name", methods.METHODS)
def test_a_method_elects_whom_its_definition_elects(name: str, orders: list[tuple[Principle, ...]]) -> None:
    found = methods.METHODS[name](methods.profile(orders))

    assert set(found.winners) == getattr(oracle, name)(orders)
    assert list(found.winners) == [principle for principle in Principle if principle in found.winners]
    assert list(found.scores) == list(FOUR_PRINCIPLES)


@settings(max_examples=25)
@given(orders=orders, data=st.data())
def test_who_voted_in_which_order_changes_nothing(
    orders: list[tuple[Principle, ...]], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(orders))

    for name, method in methods.METHODS.items():
        assert method(methods.profile(orders)) == method(methods.profile(shuffled)), name


def test_borda_counts_three_two_one_and_nothing() -> None:
    counted = methods.borda(
        methods.profile(
            [
                (FLOOR_CONSTRAINT, AVERAGE, FLOOR, RANGE_CONSTRAINT),
                (FLOOR_CONSTRAINT, FLOOR, AVERAGE, RANGE_CONSTRAINT),
            ]
        )
    )

    assert counted.scores == {FLOOR: 3, AVERAGE: 3, FLOOR_CONSTRAINT: 6, RANGE_CONSTRAINT: 0}
    assert counted.winners == (FLOOR_CONSTRAINT,)


def test_a_cycle_has_no_condorcet_winner() -> None:
    cycle = methods.profile(
        [
            (FLOOR, AVERAGE, FLOOR_CONSTRAINT, RANGE_CONSTRAINT),
            (AVERAGE, FLOOR_CONSTRAINT, FLOOR, RANGE_CONSTRAINT),
            (FLOOR_CONSTRAINT, FLOOR, AVERAGE, RANGE_CONSTRAINT),
        ]
    )

    assert methods.condorcet(cycle).winners == ()
    assert methods.copeland(cycle).winners == (FLOOR, AVERAGE, FLOOR_CONSTRAINT)


@pytest.mark.parametrize(
    ("orders", "wrong"),
    [
        ([], "rankings: there are none"),
        ([(FLOOR, AVERAGE), (FLOOR, FLOOR_CONSTRAINT)], "must rank the same principles, every one once"),
        ([(FLOOR, FLOOR)], "must rank the same principles, every one once"),
    ],
)
def test_rankings_that_cannot_be_added_up_are_refused(
    orders: list[tuple[Principle, ...]], wrong: str
) -> None:
    with pytest.raises(ValueError, match=wrong):
        methods.profile(orders)
