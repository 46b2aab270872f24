"""The bands tell the winner of every amount, and no band could be joined with the next."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.experiment.terms import Averages, Principle
from tests.unit.experiment.principles.oracle import judge
from tests.unit.experiment.principles.sets import made, rows, weights
from workers.experiment.principles.bands import winners
from workers.experiment.principles.tables import table


@given(
    rows=rows,
    weights=st.none() | weights,
    averages=st.sampled_from(Averages),
    amounts=st.lists(st.integers(1, 20) | st.integers(1, 70_000), min_size=1),
)
def test_the_bands_tell_the_winner_of_every_amount(
    rows: list[tuple[int, ...]], weights: list[int] | None, averages: Averages, amounts: list[int]
) -> None:
    counted = weights if weights is not None and averages is Averages.WEIGHTED else [1] * 5
    told = winners(made(rows, weights), averages).as_json()
    edges = [edge + by for row in rows for edge in (row[-1], row[0] - row[-1]) for by in (-1, 0, 1)]

    for amount in [*amounts, *(edge for edge in edges if edge > 0)]:
        by_floor, _, _ = judge(rows, Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT, amount, counted)
        by_range, _, _ = judge(rows, Principle.MAXIMIZING_AVERAGE_RANGE_CONSTRAINT, amount, counted)
        floor_band = next((band for band in told["floor_constraint"] if amount <= band["up_to"]), None)
        range_band = next((band for band in told["range_constraint"] if amount >= band["at_least"]), None)
        assert by_floor == (floor_band or {"winner": told["floor_constraint_unsatisfied"]})["winner"]
        assert by_range == (range_band or {"winner": told["range_constraint_unsatisfied"]})["winner"]
    assert all(band["up_to"] > 0 for band in told["floor_constraint"])
    for bands in (told["floor_constraint"], told["range_constraint"]):
        assert all(band["winner"] != following["winner"] for band, following in pairwise(bands))


#: Table, averages: floor bands, floor unsatisfied, range bands, range unsatisfied; worked out by hand.
BY_HAND = {
    ("A", "plain"): (
        [(6_000, 3), (10_000, 2), (12_000, 1), (13_000, 4)],
        4,
        [(24_000, 3), (16_000, 1), (12_000, 4)],
        4,
    ),
    ("A", "weighted"): (
        [(6_000, 3), (10_000, 2), (12_000, 1), (13_000, 4)],
        4,
        [(24_000, 3), (16_000, 1), (12_000, 4)],
        4,
    ),
    ("B", "plain"): (
        [(8_000, 3), (11_000, 4), (12_500, 2), (13_000, 1)],
        1,
        [(32_000, 3), (15_000, 4), (4_000, 1)],
        1,
    ),
    ("B", "weighted"): (
        [(8_000, 3), (11_000, 4), (12_500, 2), (13_000, 1)],
        1,
        [(32_000, 3), (15_000, 4), (4_000, 1)],
        1,
    ),
    ("C", "plain"): ([(13_000, 1)], 1, [(87_000, 1), (27_000, 2), (18_000, 3), (13_000, 4)], 4),
    ("C", "weighted"): (
        [(8_000, 2), (11_000, 4), (12_000, 3), (13_000, 1)],
        1,
        [(27_000, 2), (13_000, 4)],
        4,
    ),
    ("D", "plain"): ([(13_000, 1), (14_000, 4)], 4, [(22_000, 1), (18_000, 2), (16_000, 4), (8_000, 3)], 3),
    ("D", "weighted"): (
        [(12_000, 2), (13_000, 1), (14_000, 4)],
        4,
        [(18_000, 2), (16_000, 4), (8_000, 3)],
        3,
    ),
}


@pytest.mark.parametrize(("name", "averages"), BY_HAND)
def test_the_bands_of_the_paid_rounds_are_those_worked_out_by_hand(name: str, averages: str) -> None:
    told = winners(table(name), Averages(averages))

    assert (
        [(band.amount, band.winner) for band in told.floor_constraint],
        told.floor_constraint_unsatisfied,
        [(band.amount, band.winner) for band in told.range_constraint],
        told.range_constraint_unsatisfied,
    ) == BY_HAND[name, averages]
