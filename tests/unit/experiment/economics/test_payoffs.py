"""What choices are paid: drawn once, exactly as likely as told, the same averages everywhere."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Averages, IncomeClass, Principle
from tests.unit.experiment.economics.run import NAMES, config, journal
from tests.unit.experiment.principles.oracle import judge
from workers.experiment.principles.distribution import CLASSES, DistributionSet
from workers.experiment.principles.rules import payoff
from workers.experiment.principles.tables import table
from workers.experiment.records import Choice, Earning
from workers.experiment.services.payoffs import PayoffService, drawn_class

FLOOR, AVERAGE, FLOOR_CONSTRAINT, RANGE_CONSTRAINT = FOUR_PRINCIPLES

SKEWED = {"high": 0.05, "medium_high": 0.10, "medium": 0.50, "medium_low": 0.25, "low": 0.10}
ORIGINAL = {"original_values_mode": {"enabled": True}}


def service(seed: int = 1, **changes: Any) -> PayoffService:
    return PayoffService(config(**changes), journal(seed)[0])


async def test_the_original_values_mode_explains_with_the_sample_and_pays_by_a_to_d() -> None:
    payoffs = service(**ORIGINAL)

    assert payoffs.explanation_set() is table("sample")
    assert [payoffs.phase_1_set("Ann", number) for number in (1, 2, 3, 4)] == [
        table(name) for name in ("A", "B", "C", "D")
    ]


async def test_the_dynamic_mode_scales_the_sample_for_each_agent_and_round_within_the_range() -> None:
    payoffs = service(distribution_range_phase1=[0.5, 2.0], income_class_probabilities=SKEWED)

    sets = {(agent, number): payoffs.phase_1_set(agent, number) for agent in NAMES for number in (1, 2, 3, 4)}

    assert len({made.distributions for made in sets.values()}) == len(sets)
    for made in sets.values():
        multiplier = Fraction(made.numbered(1).high, 32_000)
        assert Fraction(1, 2) <= multiplier <= 2
        assert made.probabilities == tuple(Decimal(str(share)) for share in SKEWED.values())
        for base, distribution in zip(table("sample"), made, strict=True):
            for before, after in zip(base.incomes, distribution.incomes, strict=True):
                assert abs(before * multiplier - after) <= 2
    assert payoffs.phase_1_set("Ann", 1) is sets["Ann", 1]


async def test_without_probabilities_the_explanation_weighs_all_classes_alike() -> None:
    explained = service().explanation_set()

    assert explained.probabilities is None
    assert explained.distributions == table("sample").distributions


@pytest.mark.parametrize("number", [0, 5])
async def test_a_round_that_is_not_paid_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="round: 1 to 4 are paid"):
        service().phase_1_set("Ann", number)


@pytest.mark.parametrize(("averages", "paid_for"), [(Averages.PLAIN, 1), (Averages.WEIGHTED, 2)])
@pytest.mark.parametrize("round_number", [3, 4])
async def test_counterfactuals_take_the_same_averages_as_the_real_choice(
    averages: Averages, paid_for: int, round_number: int
) -> None:
    for seed in range(10):
        payoffs = service(seed, averages=averages.value, **ORIGINAL)
        earning = payoffs.phase_1_earning("Ann", round_number, Choice(FLOOR))
        distributions = payoffs.phase_1_set("Ann", round_number)

        expected = payoff(distributions.numbered(paid_for).income(earning.income_class))
        assert earning.counterfactuals[AVERAGE] == expected


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**31 - 1),
    averages=st.sampled_from(Averages),
    original=st.booleans(),
    round_number=st.integers(1, 4),
    principle=st.sampled_from(FOUR_PRINCIPLES),
    amount=st.integers(1_000, 90_000),
)
async def test_a_choice_is_paid_as_judged_by_hand(
    seed: int, averages: Averages, original: bool, round_number: int, principle: Principle, amount: int
) -> None:
    choice = Choice(principle, amount if principle.constrained else None)
    payoffs = service(
        seed,
        averages=averages.value,
        original_values_mode={"enabled": original},
        income_class_probabilities=SKEWED,
    )

    earning = payoffs.phase_1_earning("Ann", round_number, choice)

    distributions = payoffs.phase_1_set("Ann", round_number)
    rows = [distribution.incomes for distribution in distributions]
    weights = list(distributions.shares) if averages is Averages.WEIGHTED else [1] * 5
    place = list(IncomeClass).index(earning.income_class)

    def by_hand(other: Choice) -> int:
        # The oracle adds incomes up one at a time: proportions of a million are scaled to what it can do.
        scale = [max(round(weight * 10_000 / sum(weights)), 1) for weight in weights]
        return judge(rows, other.principle, other.amount, scale)[0]

    upper_floor, upper_range = sorted(distributions.floors)[2], sorted(distributions.ranges)[2]
    amounts = {FLOOR_CONSTRAINT: upper_floor, RANGE_CONSTRAINT: upper_range}
    if principle.constrained:
        amounts[principle] = amount
    assert earning.distribution == by_hand(choice)
    assert earning.income == rows[earning.distribution - 1][place]
    assert earning.payoff == payoff(earning.income)
    assert earning.amounts == amounts
    assert earning.counterfactuals == {
        other: payoff(rows[by_hand(Choice(other, amounts.get(other))) - 1][place])
        for other in FOUR_PRINCIPLES
    }
    assert earning.incomes == tuple(rows)


async def test_one_amount_never_serves_as_floor_and_as_range() -> None:
    earning = service(**ORIGINAL).phase_1_earning("Ann", 1, Choice(RANGE_CONSTRAINT, 16_000))

    # The floors of table A are 12, 10, 6 and 13 thousand: 12 is the upper median.
    assert earning.amounts == {FLOOR_CONSTRAINT: 12_000, RANGE_CONSTRAINT: 16_000}


async def test_a_missing_amount_is_an_error_and_never_earns_nothing() -> None:
    with pytest.raises(ValueError, match="amount of maximizing_average_floor_constraint"):
        service().phase_1_earning("Ann", 1, Choice(FLOOR_CONSTRAINT))


@given(seed=st.integers(0, 2**31 - 1), shares=st.lists(st.integers(0, 5), min_size=5, max_size=5))
def test_a_class_that_cannot_be_is_never_drawn(seed: int, shares: list[int]) -> None:
    if sum(shares) == 0:
        return
    probabilities = tuple(Decimal(share) / sum(shares) for share in shares)
    distributions = DistributionSet.of("made", ((5, 4, 3, 2, 1),), probabilities)

    assert shares[CLASSES.index(drawn_class(Random(seed), distributions))] > 0


def test_classes_are_drawn_as_likely_as_the_set_says() -> None:
    distributions = table("sample")
    assert distributions.probabilities is not None
    generator, draws = Random(7), 20_000
    drawn = Counter(drawn_class(generator, distributions) for _ in range(draws))

    for income_class, probability in zip(CLASSES, distributions.probabilities, strict=True):
        # Five standard deviations of the largest share are less than two hundredths.
        assert abs(drawn[income_class] / draws - float(probability)) < 0.02


async def test_a_decision_pays_everybody_from_the_one_distribution_that_it_picks() -> None:
    for seed in range(10):
        outcome = service(seed, income_class_probabilities=SKEWED).group_earnings(
            NAMES, Choice(AVERAGE), "consensus"
        )

        assert list(outcome.earnings) == list(NAMES)
        assert {earning.distribution for earning in outcome.earnings.values()} == {1}
        assert (outcome.decided_by, outcome.choice, outcome.binding) == ("consensus", Choice(AVERAGE), False)
        assert outcome.multiplier is not None
        assert Decimal("0.5") <= outcome.multiplier <= 2
        incomes = next(iter(outcome.earnings.values())).incomes
        assert incomes[0][0] == int(32_000 * outcome.multiplier)


async def test_agents_draw_their_classes_each_for_itself() -> None:
    classes = [
        tuple(earning.income_class for earning in outcome.earnings.values())
        for outcome in (service(seed).group_earnings(NAMES, Choice(FLOOR), "consensus") for seed in range(20))
    ]

    assert any(len(set(drawn)) > 1 for drawn in classes)


@pytest.mark.parametrize("choice", [Choice(FLOOR_CONSTRAINT, 14_000), Choice(AVERAGE)])
async def test_a_floor_below_all_floors_is_reported_as_not_binding(choice: Choice) -> None:
    outcome = service(distribution_range_phase2=[2.0, 6.0]).group_earnings(NAMES, choice, "consensus")

    assert outcome.binding is False
    assert {earning.binding for earning in outcome.earnings.values()} == {False}
    assert {earning.distribution for earning in outcome.earnings.values()} == {1}


async def test_an_amount_that_nothing_meets_binds_and_is_reported_as_unmet() -> None:
    outcome = service().group_earnings(NAMES, Choice(FLOOR_CONSTRAINT, 1_000_000), "consensus")

    assert outcome.binding is True
    assert {earning.satisfied for earning in outcome.earnings.values()} == {False}
    assert {earning.distribution for earning in outcome.earnings.values()} == {4}


async def test_without_a_decision_each_agent_has_a_distribution_of_its_own_drawn() -> None:
    outcomes = [service(seed).group_earnings(NAMES, None, "none") for seed in range(20)]

    assert {earning.distribution for outcome in outcomes for earning in outcome.earnings.values()} == {
        1,
        2,
        3,
        4,
    }
    assert any(
        len({earning.distribution for earning in outcome.earnings.values()}) > 1 for outcome in outcomes
    )
    assert {outcome.binding for outcome in outcomes} == {None}


async def test_a_shared_draw_gives_all_the_same_distribution() -> None:
    outcomes = [
        service(seed, no_consensus_draw="shared").group_earnings(NAMES, None, "none") for seed in range(20)
    ]

    shared = [{earning.distribution for earning in outcome.earnings.values()} for outcome in outcomes]
    assert {len(distributions) for distributions in shared} == {1}
    assert set.union(*shared) == {1, 2, 3, 4}


async def test_a_filtered_draw_takes_any_distribution_that_meets_the_constraint_the_same_for_all() -> None:
    # At a multiplier of about 1 the floors are 12, 13, 14 and 15 thousand.
    outcomes = [
        service(
            seed, payoff_distribution="filtered_draw", distribution_range_phase2=[1.0, 1.001]
        ).group_earnings(NAMES, Choice(FLOOR_CONSTRAINT, 13_000), "consensus")
        for seed in range(30)
    ]

    drawn = [{earning.distribution for earning in outcome.earnings.values()} for outcome in outcomes]
    assert {len(distributions) for distributions in drawn} == {1}
    assert set.union(*drawn) == {2, 3, 4}
    for outcome in outcomes:
        for earning in outcome.earnings.values():
            # What was decided is what was paid; the others are what they would have picked.
            assert earning.counterfactuals[FLOOR_CONSTRAINT] == earning.payoff


@pytest.mark.parametrize(
    ("choice", "only"), [(Choice(FLOOR), 4), (Choice(AVERAGE), 1), (Choice(FLOOR_CONSTRAINT, 90_000), 4)]
)
async def test_a_filtered_draw_of_a_rule_that_one_distribution_meets_is_that_one(
    choice: Choice, only: int
) -> None:
    outcome = service(payoff_distribution="filtered_draw").group_earnings(NAMES, choice, "consensus")

    assert {earning.distribution for earning in outcome.earnings.values()} == {only}


async def test_a_further_principle_is_paid_and_compared_with_the_four() -> None:
    outcome = service().group_earnings(NAMES, Choice(Principle.MINIMIZING_RANGE), "consensus")

    for earning in outcome.earnings.values():
        assert earning.distribution == 4
        assert list(earning.counterfactuals) == list(FOUR_PRINCIPLES)


def everything(payoffs: PayoffService) -> tuple[list[Earning], object]:
    alone = [
        payoffs.phase_1_earning(agent, number, Choice(AVERAGE)) for agent in NAMES for number in (1, 2, 3, 4)
    ]
    return alone, payoffs.group_earnings(NAMES, None, "none")


async def test_every_draw_is_a_step_and_a_replay_pays_the_same_without_drawing() -> None:
    made, store = journal(seed=5)
    first = everything(PayoffService(config(), made))
    replayed, _ = journal(seed=99, recorded=store.steps, replay=True)

    assert everything(PayoffService(config(), replayed)) == first
    assert {path for path in store.steps if "/Ann/" in path} == {
        *(f"p1/r{number}/Ann/{what}" for number in (1, 2, 3, 4) for what in ("multiplier", "class")),
        "p2/Ann/payoff/distribution",
        "p2/Ann/payoff/class",
    }
    assert "p2/-/payoff/multiplier" in store.steps


async def test_the_same_seed_pays_the_same_and_another_one_otherwise() -> None:
    assert everything(service(4)) == everything(service(4))
    assert everything(service(4)) != everything(service(5))
