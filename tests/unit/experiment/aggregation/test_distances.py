"""How far rankings lie apart, and who votes with whom."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Principle
from workers.experiment.records import Choice
from workers.experiment.services.preferences.coalitions import detect_consensus
from workers.experiment.services.preferences.distances import agreement, footrule, kendall, mean_ranks

FLOOR, AVERAGE, FLOOR_CONSTRAINT, RANGE_CONSTRAINT = FOUR_PRINCIPLES

order = st.permutations(FOUR_PRINCIPLES).map(tuple)


@given(one=order, other=order)
def test_distances_count_the_neighbours_that_must_change_places(
    one: tuple[Principle, ...], other: tuple[Principle, ...]
) -> None:
    swaps, row = 0, list(one)
    for place in range(len(row)):
        for at in range(len(row) - 1 - place):
            if other.index(row[at]) > other.index(row[at + 1]):
                row[at], row[at + 1] = row[at + 1], row[at]
                swaps += 1

    assert tuple(row) == other
    assert kendall(one, other) == kendall(other, one) == swaps
    # Diaconis and Graham: the footrule lies between the distance and twice of it.
    assert swaps <= footrule(one, other) <= 2 * swaps


@given(orders=st.lists(order, min_size=2, max_size=6))
def test_agreement_grows_as_the_rankings_lie_nearer_together(orders: list[tuple[Principle, ...]]) -> None:
    found = agreement(orders)

    assert found is not None
    assert 0 <= found <= 1
    assert (found == 1) == (len(set(orders)) == 1)
    # W is the mean of Spearman's rank correlation of all pairs, moved to 0 to 1.
    n = len(orders)
    correlations = [
        1 - Fraction(6 * sum((one.index(p) - other.index(p)) ** 2 for p in one), 4 * 15)
        for one, other in combinations(orders, 2)
    ]
    mean = sum(correlations, Fraction(0)) / len(correlations)
    assert found == (mean * (n - 1) + 1) / n


def test_one_ranking_has_nobody_to_agree_with() -> None:
    assert agreement([FOUR_PRINCIPLES]) is None


def test_a_mean_rank_counts_places_from_one() -> None:
    assert mean_ranks([FOUR_PRINCIPLES, FOUR_PRINCIPLES[::-1]]) == dict.fromkeys(
        FOUR_PRINCIPLES, Fraction(5, 2)
    )


def test_a_consensus_needs_its_share_of_all_agents_abstentions_included() -> None:
    fifteen = Choice(FLOOR_CONSTRAINT, 15_000)
    votes = {"Ann": fifteen, "Bob": fifteen, "Cem": None}

    majority, unanimity = detect_consensus(votes, Fraction(2, 3)), detect_consensus(votes, Fraction(1))

    assert (majority.reached, majority.choice, majority.share) == (True, fifteen, Fraction(2, 3))
    assert (unanimity.reached, unanimity.abstentions) == (False, ("Cem",))


def test_agents_of_one_principle_are_a_coalition_whatever_their_amounts() -> None:
    votes: dict[str, Choice | None] = {
        "Ann": Choice(AVERAGE),
        "Bob": Choice(FLOOR_CONSTRAINT, 14_000),
        "Cem": Choice(FLOOR_CONSTRAINT, 15_000),
        "Dee": None,
    }

    found = detect_consensus(votes, Fraction(1, 4))

    assert (found.reached, found.choice) == (False, None)
    assert [(coalition.principle, coalition.members) for coalition in found.coalitions] == [
        (FLOOR_CONSTRAINT, ("Bob", "Cem")),
        (AVERAGE, ("Ann",)),
    ]
    assert found.coalitions[0].choices == (Choice(FLOOR_CONSTRAINT, 14_000), Choice(FLOOR_CONSTRAINT, 15_000))


def test_nobody_voting_is_no_consensus() -> None:
    found = detect_consensus({"Ann": None, "Bob": None}, Fraction(1, 2))

    assert (found.reached, found.choice, found.share, found.coalitions) == (False, None, 0, ())


@pytest.mark.parametrize("threshold", [Fraction(0), Fraction(5, 4)])
def test_a_threshold_that_is_no_share_is_refused(threshold: Fraction) -> None:
    with pytest.raises(ValueError, match="threshold: a share above 0"):
        detect_consensus({"Ann": None}, threshold)


def test_no_votes_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="votes: there are none"):
        detect_consensus({}, Fraction(1))
