"""What agents are told of the results, and what would have been."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from shared.schemas.experiment.terms import (
    FOUR_PRINCIPLES,
    Averages,
    Certainty,
    IncomeClass,
    Language,
    Principle,
)
from tests.unit.experiment.economics.run import NAMES, config, journal, nobody_is_asked
from workers.experiment.agents.participant import ParticipantAgent, make_agents
from workers.experiment.principles.tables import table
from workers.experiment.records import Choice, GroupOutcome
from workers.experiment.result.plain import plain
from workers.experiment.services.counterfactuals_service import CounterfactualsService, alternatives
from workers.experiment.services.payoffs import PayoffService
from workers.experiment.steps.model_call import ModelCall
from workers.experiment.testing import Script

FLOOR, AVERAGE, FLOOR_CONSTRAINT, RANGE_CONSTRAINT = FOUR_PRINCIPLES

#: A table of nearly the printed size, so that texts can be read off it.
NEAR_ONE = {"distribution_range_phase2": [1.0, 1.000001]}


class Run:
    def __init__(self, script: Script = nobody_is_asked, *, seed: int = 1, **changes: Any) -> None:
        self.config = config(**{**NEAR_ONE, **changes})
        made, self.store = journal(seed, script)
        self.payoffs = PayoffService(self.config, made)
        self.service = CounterfactualsService(self.config, made, self.payoffs)
        self.agents = make_agents(self.config, made)

    @property
    def ann(self) -> ParticipantAgent:
        return self.agents[0]

    def outcome(self, choice: Choice | None = Choice(FLOOR_CONSTRAINT, 13_000)) -> GroupOutcome:
        return self.payoffs.group_earnings(NAMES, choice, "none" if choice is None else "consensus")

    def told(
        self, choice: Choice | None = Choice(FLOOR_CONSTRAINT, 13_000)
    ) -> tuple[GroupOutcome, list[str]]:
        outcome = self.outcome(choice)
        return outcome, self.service.format_detailed_results(self.ann, outcome, self.agents).splitlines()


def transparency(level: str, **changes: bool) -> dict[str, Any]:
    return {"phase2_enhanced_transparency": {"detail_level": level, **changes}}


async def test_basic_results_are_the_decision_the_class_and_the_pay() -> None:
    outcome, told = Run(**transparency("basic")).told()

    earning = outcome.earnings["Ann"]
    assert told == [
        "The results of the group's part:",
        "The group agreed on: maximizing the average income with a floor constraint ($13,000).",
        f"You were drawn into this class: {earning.income_class.value.replace('_', ' ')}. "
        f"Its income is ${earning.income:,} a year.",
        f"You earned ${earning.payoff}.",
    ]


async def test_without_transparency_results_are_basic_whatever_the_level() -> None:
    _, told = Run(phase2_enhanced_transparency={"enabled": False, "detail_level": "full"}).told()

    assert told == Run(**transparency("basic")).told()[1]


async def test_enhanced_results_add_each_principle_and_the_best_and_worst() -> None:
    outcome, told = Run(**transparency("enhanced")).told()

    earning = outcome.earnings["Ann"]
    assert told[:4] == Run(**transparency("basic")).told()[1]
    assert told[4] == "You were paid from distribution 3."
    assert told[6:10] == [
        f"- maximizing the floor income: ${earning.counterfactuals[FLOOR]}",
        f"- maximizing the average income: ${earning.counterfactuals[AVERAGE]}",
        "- maximizing the average income with a floor constraint ($13,000): "
        f"${earning.counterfactuals[FLOOR_CONSTRAINT]}",
        "- maximizing the average income with a range constraint ($17,000): "
        f"${earning.counterfactuals[RANGE_CONSTRAINT]}",
    ]
    assert len(told) == 12


async def test_full_results_add_the_distributions_other_amounts_and_everybody() -> None:
    outcome, told = Run(**transparency("full")).told()

    assert told[:12] == Run(**transparency("enhanced")).told()[1]
    assert "- distribution 1: $32,000, $27,000, $24,000, $13,000, $12,000" in told
    tested = [line for line in told if line.count("distribution") == 1 and "constraint ($" in line]
    assert len(tested) == 8
    everybody = told[told.index("What everybody earned:") + 1 :]
    assert [line.split(":")[0] for line in everybody] == [f"- {name}" for name in NAMES]
    assert all(
        f"${outcome.earnings[name].payoff}" in line for name, line in zip(NAMES, everybody, strict=True)
    )


async def test_what_is_not_to_be_told_is_not_told() -> None:
    hidden = transparency(
        "full", include_class_assignment=False, include_counterfactuals=False, include_insights=False
    )
    outcome, told = Run(**hidden).told()

    assert not [line for line in told if "class" in line]
    assert not [line for line in told if "alternative" in line or "principle" in line.lower()]
    assert told[-3:] == [f"- {name}: ${outcome.earnings[name].payoff}" for name in NAMES]


async def test_the_best_and_the_worst_alternative_are_told_by_how_much() -> None:
    for seed in range(20):
        outcome, told = Run(seed=seed, **transparency("enhanced")).told(Choice(FLOOR))
        earning = outcome.earnings["Ann"]
        others = {key: paid for key, paid in earning.counterfactuals.items() if key is not FLOOR}
        more = max(others.values()) - earning.payoff
        less = earning.payoff - min(others.values())
        assert told[-2].endswith(f"with ${more} more." if more > 0 else "would have paid you more.")
        assert told[-1].endswith(f"with ${less} less." if less > 0 else "would have paid you less.")


async def test_a_constraint_that_changed_nothing_is_told() -> None:
    _, told = Run(**transparency("enhanced")).told(Choice(FLOOR_CONSTRAINT, 5_000))

    assert (
        "The constraint changed nothing here: the highest average alone picks the same distribution." in told
    )


async def test_a_constraint_whose_payer_is_drawn_is_not_told_to_change_nothing() -> None:
    said = "The constraint changed nothing here"
    for seed in range(5):
        run = Run(seed=seed, **transparency("enhanced"), payoff_distribution="filtered_draw")
        outcome, told = run.told(Choice(FLOOR_CONSTRAINT, 1_000))
        assert outcome.binding is False
        assert not any(line.startswith(said) for line in told)


async def test_a_constraint_that_nothing_met_is_told() -> None:
    _, told = Run(**transparency("enhanced")).told(Choice(RANGE_CONSTRAINT, 1_000))

    assert "No distribution met the constraint." in told


async def test_without_a_decision_the_draw_is_told() -> None:
    outcome, told = Run(**transparency("enhanced")).told(None)

    assert told[1] == "The group did not decide on a principle, so a distribution was drawn by chance."
    assert f"You were paid from distribution {outcome.earnings['Ann'].distribution}." in told


async def test_a_loss_frame_tells_what_is_kept_of_the_credit() -> None:
    outcome, told = Run(frame="loss", loss_frame_credit=40, **transparency("full")).told()

    assert told[3] == f"You keep ${outcome.earnings['Ann'].payoff} of your credit of $40.00 by this."
    assert not [line for line in told if "earn" in line]


@pytest.mark.parametrize("decided_by", ["consensus", "majority", "imposed", "none"])
@pytest.mark.parametrize("level", ["basic", "enhanced", "full"])
@pytest.mark.parametrize("language", Language)
async def test_every_outcome_can_be_told_at_every_level_in_every_language(
    language: Language, level: str, decided_by: str
) -> None:
    run = Run(language=language.value, **transparency(level))
    choice = None if decided_by == "none" else Choice(FLOOR_CONSTRAINT, 13_000)
    outcome = run.payoffs.group_earnings(NAMES, choice, decided_by)

    told = run.service.format_detailed_results(run.ann, outcome, run.agents)

    assert "{" not in told
    assert run.ann.text.money(outcome.earnings["Ann"].payoff) in told
    if choice is not None:
        assert run.ann.text.principle(choice.principle) in told


async def test_payoffs_of_all_principles_are_calculated_for_every_class() -> None:
    sample = table("sample")
    choices = [Choice(FLOOR), Choice(FLOOR_CONSTRAINT, 13_000)]

    found = Run().service.calculate_payoffs(sample, choices)

    assert list(found) == choices
    assert list(found[choices[0]].values()) == [
        Decimal(paid) for paid in ("2.10", "2.00", "1.90", "1.60", "1.50")
    ]
    assert found[choices[1]][IncomeClass.HIGH] == Decimal("3.10")


async def test_the_analysis_tests_every_distinct_floor_and_range_and_is_plain_json() -> None:
    run = Run()
    outcome = run.outcome()

    found = run.service.generate_counterfactual_analysis(outcome)

    amounts = [(tested["principle"], tested["amount"]) for tested in found["every_choice"]]
    assert amounts == [
        (FLOOR, None),
        (AVERAGE, None),
        *((FLOOR_CONSTRAINT, amount) for amount in (12_000, 13_000, 14_000, 15_000)),
        *((RANGE_CONSTRAINT, amount) for amount in (6_000, 15_000, 17_000, 20_000)),
    ]
    assert [tested["distribution"] for tested in found["every_choice"]] == [4, 1, 1, 3, 3, 4, 4, 2, 3, 1]
    assert [tested["binding"] for tested in found["every_choice"]] == [
        False, False, False, True, True, True, True, True, True, False,
    ]  # fmt: skip
    for name in NAMES:
        earning, analysed = outcome.earnings[name], found["agents"][name]
        assert analysed["best"]["payoff"] >= analysed["worst"]["payoff"]
        assert analysed["best"]["difference"] == analysed["best"]["payoff"] - earning.payoff
        assert FLOOR_CONSTRAINT not in (analysed["best"]["principle"], analysed["worst"]["principle"])
    assert found["group"][FLOOR_CONSTRAINT] == sum(
        (earning.payoff for earning in outcome.earnings.values()), Decimal(0)
    )
    assert json.loads(json.dumps(plain(found)))["distributions"][0]["floor"] == 12_000
    assert found["binding"] is True


async def test_what_was_decided_is_no_alternative_to_itself_and_equals_keep_their_order() -> None:
    earning = Run().outcome(Choice(AVERAGE)).earnings["Ann"]

    decided, undecided = alternatives(earning, Choice(AVERAGE)), alternatives(earning, None)

    assert {other.principle for other in decided} == set(FOUR_PRINCIPLES) - {AVERAGE}
    assert {other.principle for other in undecided} == set(FOUR_PRINCIPLES)
    assert list(undecided) == sorted(
        undecided, key=lambda other: (-other.payoff, FOUR_PRINCIPLES.index(other.principle))
    )


async def test_the_analysis_weighs_averages_as_the_run_does() -> None:
    shares = {"high": 0, "medium_high": 0, "medium": 0, "medium_low": 0, "low": 1}
    weighted, plain_run = (
        Run(income_class_probabilities=shares, averages=averages.value)
        for averages in (Averages.WEIGHTED, Averages.PLAIN)
    )

    picks = [
        run.service.generate_counterfactual_analysis(run.outcome(Choice(FLOOR)))["every_choice"][1][
            "distribution"
        ]
        for run in (weighted, plain_run)
    ]

    # With everybody in the low class the highest average is the highest floor.
    assert picks == [4, 1]


async def test_the_last_rankings_are_asked_of_all_with_the_results_before_them() -> None:
    asked: list[ModelCall] = []

    def script(call: ModelCall) -> str:
        asked.append(call)
        if call.role == "Bob" and "ranking" not in seen:
            seen.append("ranking")
            return "I would rather not say."
        return '{"ranking": [3, 2, 1, 4], "certainty": "very_sure"}'

    seen: list[str] = []
    run = Run(script, max_participant_retries=1)
    shown = {name: f"These are the results of {name}." for name in NAMES}

    records = await run.service.collect_final_rankings(run.agents, shown)

    assert list(records) == list(NAMES)
    for name, record in records.items():
        assert record.checkpoint == "final"
        assert record.ranking is not None
        assert record.ranking.order == (FLOOR_CONSTRAINT, AVERAGE, FLOOR, RANGE_CONSTRAINT)
        assert record.ranking.certainty is Certainty.VERY_SURE
        assert record.steps[0] == f"p2/{name}/ranking/final/try1"
    assert len(records["Bob"].steps) == 2
    assert all(f"These are the results of {call.role}." in call.system for call in asked)
    assert all(f"4. {run.ann.text.principle(RANGE_CONSTRAINT)}" in call.user for call in asked)


async def test_a_ranking_that_stays_unreadable_is_recorded_as_none() -> None:
    run = Run(lambda _: "no idea", max_participant_retries=0)

    records = await run.service.collect_final_rankings(run.agents, {})

    assert [record.ranking for record in records.values()] == [None, None, None]
    assert {record.text for record in records.values()} == {"no idea"}


async def test_a_further_principle_leaves_all_four_as_alternatives() -> None:
    run = Run(**transparency("enhanced"))
    outcome, told = run.told(Choice(Principle.MAXIMIZING_MEDIAN))

    assert told[1] == "The group agreed on: maximizing the middle class's income."
    found = run.service.generate_counterfactual_analysis(outcome)["agents"]["Ann"]
    assert found["best"]["payoff"] == max(outcome.earnings["Ann"].counterfactuals.values())
