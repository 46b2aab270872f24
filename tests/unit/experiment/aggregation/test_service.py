"""The service of preferences: ties broken as asked, and what the result holds of each checkpoint."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Principle
from tests.unit.experiment.economics.run import config, journal
from workers.experiment.records import Choice, Ranking
from workers.experiment.result.plain import plain
from workers.experiment.services.preference_aggregation_service import PreferenceAggregationService
from workers.experiment.services.preferences.methods import METHODS

FLOOR, AVERAGE, FLOOR_CONSTRAINT, RANGE_CONSTRAINT = FOUR_PRINCIPLES

SPLIT = {
    "Ann": Ranking((RANGE_CONSTRAINT, FLOOR, AVERAGE, FLOOR_CONSTRAINT)),
    "Bob": Ranking((AVERAGE, FLOOR, RANGE_CONSTRAINT, FLOOR_CONSTRAINT)),
}


def service(seed: int = 1) -> PreferenceAggregationService:
    return PreferenceAggregationService(config(), journal(seed)[0])


async def test_a_tie_goes_to_the_first_in_order_is_drawn_or_stays_a_tie() -> None:
    by_order = service().aggregate_preferences(SPLIT, "plurality")
    drawn = {service(seed).aggregate_preferences(SPLIT, "plurality", "seed").winner for seed in range(20)}
    reported = service().aggregate_preferences(SPLIT, "plurality", "report")

    assert (by_order.winner, by_order.tied, by_order.tiebreak_applied) == (
        AVERAGE,
        (AVERAGE, RANGE_CONSTRAINT),
        True,
    )
    assert drawn == {AVERAGE, RANGE_CONSTRAINT}
    assert (reported.winner, reported.tied, reported.tiebreak_applied) == (
        None,
        (AVERAGE, RANGE_CONSTRAINT),
        False,
    )


async def test_without_a_tie_there_is_nothing_to_break() -> None:
    found = service().aggregate_preferences({"Ann": SPLIT["Ann"]}, "borda", "report")

    assert (found.winner, found.tied, found.tiebreak_applied) == (RANGE_CONSTRAINT, (), False)
    assert found.scores == {FLOOR: 2, AVERAGE: 1, FLOOR_CONSTRAINT: 0, RANGE_CONSTRAINT: 3}


async def test_a_drawn_tie_break_is_a_step_and_the_same_for_the_same_options() -> None:
    made, store = journal(seed=3)
    preferences = PreferenceAggregationService(config(), made)

    first = preferences.break_ties([AVERAGE, FLOOR], "seed")
    again = preferences.break_ties([FLOOR, AVERAGE], "seed")
    replayed, _ = journal(recorded=store.steps, replay=True)

    repeating = PreferenceAggregationService(config(), replayed)
    repeated = {repeating.break_ties([AVERAGE, FLOOR], "seed") for _ in range(2)}

    assert {first, again} == repeated
    assert list(store.steps) == ["p2/-/aggregation/tiebreak/maximizing_floor-maximizing_average"]


async def test_an_order_of_ones_own_decides_a_tie_and_what_is_not_in_it_comes_last() -> None:
    order = [RANGE_CONSTRAINT, AVERAGE]

    assert service().break_ties([FLOOR, AVERAGE, RANGE_CONSTRAINT], "order", order) is RANGE_CONSTRAINT
    assert service().break_ties([FLOOR, AVERAGE], "order", order) is AVERAGE
    assert service().break_ties([FLOOR_CONSTRAINT, FLOOR], "order", order) is FLOOR


async def test_methods_and_tie_breaks_that_do_not_exist_are_refused_with_those_that_do() -> None:
    with pytest.raises(ValueError, match="aggregation_method: there is no 'dictator'; one of borda"):
        service().aggregate_preferences(SPLIT, "dictator")
    with pytest.raises(ValueError, match="tie_breaker: there is no 'coin'; one of order, seed, report"):
        service().break_ties([FLOOR], "coin")
    with pytest.raises(ValueError, match="tied_options: there is nothing"):
        service().break_ties([], "order")
    with pytest.raises(ValueError, match="rankings: there are none"):
        service().aggregate_preferences({}, "borda")


async def test_a_consensus_is_of_one_choice_amount_included() -> None:
    votes: dict[str, Choice | None] = {
        "Ann": Choice(FLOOR_CONSTRAINT, 14_000),
        "Bob": Choice(FLOOR_CONSTRAINT, 15_000),
    }

    assert not service().detect_consensus(votes).reached
    assert not service().detect_consensus(votes, Fraction(1, 2)).reached
    assert service().detect_consensus({"Ann": Choice(FLOOR), "Bob": Choice(FLOOR)}).reached


async def test_the_analysis_has_every_method_at_every_checkpoint_and_what_moved() -> None:
    later = {
        "Ann": Ranking((FLOOR, RANGE_CONSTRAINT, AVERAGE, FLOOR_CONSTRAINT)),
        "Cem": Ranking((FLOOR, AVERAGE, FLOOR_CONSTRAINT, RANGE_CONSTRAINT)),
    }

    found = service().analyse({"initial": SPLIT, "post_explanation": later, "final": {}})

    initial, second = found["initial"], found["post_explanation"]
    assert list(initial["methods"]) == list(METHODS)
    assert initial["methods"]["plurality"] == {
        "scores": {FLOOR: 0, AVERAGE: 1, FLOOR_CONSTRAINT: 0, RANGE_CONSTRAINT: 1},
        "winner": None,
        "tied": (AVERAGE, RANGE_CONSTRAINT),
    }
    assert initial["pairwise"][FLOOR] == {AVERAGE: 1, FLOOR_CONSTRAINT: 2, RANGE_CONSTRAINT: 1}
    assert initial["mean_ranks"][FLOOR_CONSTRAINT] == 4
    assert initial["distances"] == [{"between": ["Ann", "Bob"], "kendall": 3, "footrule": 4}]
    assert initial["coalitions"] == [
        {"principle": AVERAGE, "members": ("Bob",)},
        {"principle": RANGE_CONSTRAINT, "members": ("Ann",)},
    ]
    assert initial["moved"] == {}
    assert second["moved"] == {"Ann": 1}
    assert second["methods"]["borda"]["winner"] is FLOOR
    assert found["final"] == {"rankings": 0}


async def test_the_analysis_is_plain_json_and_draws_nothing() -> None:
    made, store = journal()

    found = PreferenceAggregationService(config(), made).analyse({"initial": SPLIT})

    assert json.loads(json.dumps(plain(found)))["initial"]["agreement"] == 0.6
    assert store.steps == {}
    assert Principle.MAXIMIZING_FLOOR.value in json.dumps(plain(found))
