"""What ballots come to, against an oracle that looks at every pair of them."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.experiment.terms import Principle
from workers.experiment.errors import ConsensusFailureError
from workers.experiment.records import Ballot, Choice, Disagreement
from workers.experiment.services.voting.consensus import Rule, count, decided

FLOOR = Principle.MAXIMIZING_FLOOR
AVERAGE = Principle.MAXIMIZING_AVERAGE
WITH_FLOOR = Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT
WITH_RANGE = Principle.MAXIMIZING_AVERAGE_RANGE_CONSTRAINT


def cast(*choices: Choice | Principle | tuple[Principle, int] | None) -> list[Ballot]:
    """A ballot for each choice, of agents A, B, C …; ``None`` abstains."""
    ballots = []
    for number, given_choice in enumerate(choices):
        choice = Choice(given_choice) if isinstance(given_choice, Principle) else given_choice
        if isinstance(choice, tuple):
            choice = Choice(*choice)
        ballots.append(
            Ballot(
                agent=chr(65 + number), choice=choice, abstention=None if choice is not None else "unreadable"
            )
        )
    return ballots


def choices() -> st.SearchStrategy[Choice | None]:
    def choice(principle: Principle) -> st.SearchStrategy[Choice]:
        if not principle.constrained:
            return st.just(Choice(principle))
        # Close together, so that a tolerance decides as often as not.
        return st.integers(10_000, 10_012).map(lambda amount: Choice(principle, amount))

    few = st.sampled_from([FLOOR, WITH_FLOOR, WITH_RANGE])
    return st.none() | few.flatmap(choice) | st.sampled_from(Principle).flatmap(choice)


groups = st.lists(choices(), min_size=2, max_size=7) | st.builds(
    # Groups that agree on the principle are rare among any.
    lambda amounts: [Choice(WITH_FLOOR, amount) for amount in amounts],
    st.lists(st.integers(10_000, 10_006), min_size=2, max_size=7),
)
tolerances = st.integers(0, 8)


def lower_median(amounts: list[int]) -> int:
    """The smallest amount that at least half of the amounts do not exceed."""
    return min(x for x in amounts if 2 * sum(other <= x for other in amounts) >= len(amounts))


@given(groups, tolerances, st.sampled_from(Rule))
def test_what_is_decided_is_what_every_pair_of_ballots_says(
    group: list[Choice | None], tolerance: int, rule: Rule
) -> None:
    found = count(cast(*group), agents=len(group), rule=rule, tolerance=tolerance)
    voted = [choice for choice in group if choice is not None]
    pairs = list(combinations(voted, 2))
    other_principle = any(one.principle is not two.principle for one, two in pairs)
    other_amount = any(
        one.principle is two.principle
        and one.amount is not None
        and two.amount is not None
        and abs(one.amount - two.amount) > tolerance
        for one, two in pairs
    )
    if rule is Rule.UNANIMITY:
        winners = (
            {voted[0].principle}
            if len(voted) == len(group) and not other_principle and not other_amount
            else set()
        )
    else:
        winners = {
            c.principle for c in voted if sum(o.principle is c.principle for o in voted) > len(group) / 2
        }
    assert found.reached is bool(winners)
    assert found.abstentions == group.count(None)
    assert dict(found.counts) == {
        p: n for p in Principle if (n := sum(choice.principle is p for choice in voted))
    }
    if winners:
        assert found.choice is not None
        assert {found.choice.principle} == winners
        amounts = [c.amount for c in voted if c.principle in winners and c.amount is not None]
        assert found.choice.amount == (lower_median(amounts) if amounts else None)
        assert found.disagreement is None
        assert decided(found) == found.choice
        return
    assert found.choice is None
    amounts_matter = other_amount and rule is Rule.UNANIMITY
    expected = {
        (True, True): Disagreement.MIXED,
        (True, False): Disagreement.PRINCIPLE,
        (False, True): Disagreement.CONSTRAINT,
        (False, False): Disagreement.FAILED,
    }[other_principle, amounts_matter]
    assert found.disagreement is expected
    assert (found.detail is not None) is (expected is Disagreement.CONSTRAINT)


@given(groups, tolerances, st.sampled_from(Rule), st.randoms(use_true_random=False))
def test_the_order_of_the_ballots_does_not_matter(group, tolerance, rule, random) -> None:  # type: ignore[no-untyped-def]
    ballots = cast(*group)
    shuffled = random.sample(ballots, len(ballots))
    assert count(ballots, agents=len(group), rule=rule, tolerance=tolerance) == count(
        shuffled, agents=len(group), rule=rule, tolerance=tolerance
    )


@given(groups, tolerances, st.sampled_from(Rule))
def test_another_abstention_never_makes_a_decision_and_takes_no_vote_away(
    group: list[Choice | None], tolerance: int, rule: Rule
) -> None:
    before = count(cast(*group), agents=len(group), rule=rule, tolerance=tolerance)
    after = count(cast(*group, None), agents=len(group) + 1, rule=rule, tolerance=tolerance)
    assert after.counts == before.counts
    assert after.abstentions == before.abstentions + 1
    assert not after.reached or (before.reached and rule is Rule.MAJORITY)


@pytest.mark.parametrize(
    ("amounts", "tolerance", "agreed"),
    [
        ((15_000, 15_000, 15_000), 0, 15_000),
        ((14_000, 15_000, 14_500), 1000, 14_500),
        ((14_000, 14_400, 14_600, 15_000), 1000, 14_400),
        ((14_000, 15_000), 1000, 14_000),
        ((14_000, 15_000), 999, None),
        ((14_000, 15_000), 0, None),
    ],
)
def test_amounts_within_the_tolerance_agree_on_their_median(
    amounts: tuple[int, ...], tolerance: int, agreed: int | None
) -> None:
    ballots = cast(*((WITH_FLOOR, amount) for amount in amounts))
    found = count(ballots, agents=len(amounts), rule=Rule.UNANIMITY, tolerance=tolerance)
    assert found.choice == (None if agreed is None else Choice(WITH_FLOOR, agreed))


def test_a_majority_is_more_than_half_of_all_agents_abstentions_included() -> None:
    half = count(cast(FLOOR, FLOOR, None, None), agents=4, rule=Rule.MAJORITY)
    assert (half.reached, half.disagreement, half.abstentions) == (False, Disagreement.FAILED, 2)
    more = count(cast(FLOOR, FLOOR, FLOOR, None), agents=4, rule=Rule.MAJORITY)
    assert more.choice == Choice(FLOOR)


def test_a_majority_on_the_principle_needs_none_on_the_amount() -> None:
    found = count(
        cast((WITH_FLOOR, 9_000), (WITH_FLOOR, 13_000), (WITH_FLOOR, 40_000), AVERAGE, None),
        agents=5,
        rule=Rule.MAJORITY,
    )
    assert found.choice == Choice(WITH_FLOOR, 13_000)


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ((FLOOR, AVERAGE), "principle_disagreement"),
        (
            ((WITH_FLOOR, 15_000), (WITH_FLOOR, 12_000), None),
            "constraint_disagreement:maximizing_average_floor_constraint:12000,15000",
        ),
        (((WITH_FLOOR, 15_000), (WITH_FLOOR, 12_000), AVERAGE), "mixed_disagreement"),
        # The same number means something else under another principle.
        (((WITH_FLOOR, 15_000), (WITH_RANGE, 15_000)), "principle_disagreement"),
        ((FLOOR, FLOOR, None), "voting_failed"),
        ((None, None), "voting_failed"),
    ],
)
def test_who_wants_a_decision_is_told_what_kept_it(choices, told) -> None:  # type: ignore[no-untyped-def]
    found = count(cast(*choices), agents=len(choices), rule=Rule.UNANIMITY)
    with pytest.raises(ConsensusFailureError) as failure:
        decided(found)
    assert failure.value.disagreement == told


def test_no_ballots_decide_nothing() -> None:
    for rule in Rule:
        found = count([], agents=3, rule=rule)
        assert (found.reached, found.abstentions, found.disagreement) == (False, 3, Disagreement.FAILED)


@pytest.mark.parametrize(
    ("choices", "agents", "told"),
    [
        ((WITH_FLOOR,), 2, "The ballot of A is for maximizing_average_floor_constraint and has no amount."),
        (((FLOOR, 5),), 2, "The ballot of A has an amount, and maximizing_floor takes none."),
        ((FLOOR, FLOOR, FLOOR), 2, "There are 3 ballots of 2 agents."),
    ],
)
def test_what_no_ballot_can_be_is_refused(choices, agents, told) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=told):
        count(cast(*choices), agents=agents, rule=Rule.UNANIMITY)
