"""The result has the fields that existing analyses read, and says no more about agreement than it knows."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.experiment.result import sample
from workers.experiment.records import GroupOutcome, Phase2Record
from workers.experiment.result.build import build
from workers.experiment.result.plain import plain
from workers.experiment.result.run import PartialPhase2, Reason, RunStatus

GENERAL = {
    "consensus_reached",
    "consensus_principle",
    "max_rounds_phase_2",
    "rounds_conducted_phase_2",
    "public_conversation_phase_2",
    "config_file_used",
    "seed_randomness",
    "income_class_probabilities",
    "original_values_mode_enabled",
    "manipulator_target_info",
}


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return build(sample.run())


def test_it_is_json_as_it_stands(result: dict[str, Any]) -> None:
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_the_three_keys_come_first(result: dict[str, Any]) -> None:
    assert list(result)[:3] == ["general_information", "agents", "voting_history"]


def test_general_information(result: dict[str, Any]) -> None:
    general = result["general_information"]

    assert set(general) >= GENERAL
    assert general["consensus_reached"] is True
    assert general["consensus_principle"] == "maximizing_average_floor_constraint"
    assert general["consensus_amount"] == 14_000
    assert general["constraint_binding"] is True
    assert general["distribution_multiplier"] == 1.25
    assert (general["max_rounds_phase_2"], general["rounds_conducted_phase_2"]) == (4, 3)
    assert general["income_class_probabilities"]["medium_low"] == 0.25
    assert general["seed_randomness"] == 21_000
    assert general["manipulator_target_info"]["target_principle"] == "maximizing_average_range_constraint"


def test_an_analysis_of_rankings_finds_all_four_waves(result: dict[str, Any]) -> None:
    """Read as the existing notebooks read it: a container with ``ranking_result``, and the final ranking."""
    seen: dict[str, list[list[str] | None]] = {}
    for agent in result["agents"]:
        waves = [
            agent["phase_1"][key]["ranking_result"] for key in ("initial_ranking", "ranking_2", "ranking_3")
        ]
        waves.append(agent["phase_2"]["post_group_discussion"]["final_ranking"])
        seen[agent["name"]] = [
            wave and [item["principle"] for item in sorted(wave["rankings"], key=lambda item: item["rank"])]
            for wave in waves
        ]
        assert {wave["certainty"] for wave in waves if wave} == {"sure"}

    expected = {
        name: [None if order is None else list(order) for order in orders]
        for name, orders in sample.ORDERS.items()
    }
    assert seen == expected


def test_phase_1_of_an_agent(result: dict[str, Any]) -> None:
    agent = result["agents"][0]
    demonstration = agent["phase_1"]["demonstrations"][1]

    assert (agent["model"], agent["configured_model"]) == ("small", "local")
    assert agent["temperature"] == 0.7
    assert agent["reasoning_enabled"] is True
    assert agent["phase_1"]["detailed_explanation"]["response_to_demonstration"] == "I see."
    assert demonstration["number_demonstration_round"] == 2
    assert demonstration["choice_principal"] == "maximizing_average_floor_constraint"
    assert demonstration["constraint_amount"] == 14_000
    assert demonstration["class_put_in"] == "medium"
    assert demonstration["payoff_received"] == 2.1
    assert isinstance(demonstration["alternatives"], str)
    assert demonstration["payoff_if_other_principles"] == demonstration["alternatives"]
    assert (demonstration["bank_balance"], demonstration["bank_balance_after_round"]) == (2.1, 4.2)
    assert demonstration["constraint_binding"] is True
    assert demonstration["distributions"][0] == [32_000, 27_000, 24_000, 13_000, 12_000]
    assert demonstration["counterfactual_amounts"]["maximizing_average_range_constraint"] == 17_000
    assert demonstration["memory_coming_in_this_round"] == "Memory of Agent_1."
    assert demonstration["steps"] == ["p1/r2/Agent_1/application/try1"]


def test_the_rounds_of_an_agent(result: dict[str, Any]) -> None:
    first, second, _ = (agent["phase_2"]["rounds"] for agent in result["agents"])

    assert [said["speaking_order"] for said in first] == [2, 1, None]
    assert first[0]["public_message"] == "Round 1: I speak for <b>a floor</b> & fairness."
    assert first[0]["internal_reasoning"] == "They may agree."
    assert first[0]["favored_principle"] == "maximizing_average_floor_constraint"
    assert [said["initiate_vote"] for said in first] == ["Yes", "Yes", "No"]
    # Whoever was not asked said nothing.
    assert [said["initiate_vote"] for said in second] == [None, None, "No"]
    # Who was silent has an entry all the same.
    assert first[2]["public_message"] is None


def test_after_the_discussion(result: dict[str, Any]) -> None:
    after = result["agents"][1]["phase_2"]["post_group_discussion"]

    assert after["class_put_in"] == "low"
    assert after["payoff_received"] == 1.4
    assert after["final_vote"] == "maximizing_average_floor_constraint"
    assert after["final_vote_amount"] == 14_000
    assert after["vote_timestamp"].startswith("2026-03-01T12:")
    assert after["bank_balance"] == 10.5
    assert after["counterfactual_payoffs"]["maximizing_average"] == 2.4


def test_the_voting_history(result: dict[str, Any]) -> None:
    history = result["voting_history"]
    failed, decided = history["vote_rounds"]
    abstained = failed["participant_votes"][2]

    assert (history["total_vote_attempts"], history["successful_votes"]) == (2, 1)
    assert failed["consensus_reached"] is False
    assert failed["disagreement"] == "principle_disagreement"
    assert failed["abstentions"] == 1
    assert abstained["parsing_success"] is False
    assert abstained["assessed_choice"] is None
    assert abstained["raw_response"] == "Whatever you like."
    assert abstained["abstention"] == "unreadable"
    assert failed["warnings"] == ["代理三: no_principle", "代理三: no_principle"]
    assert decided["trigger_participant"] == "代理三"
    assert decided["trigger_statement"].startswith("Round 3")
    assert decided["agreed_principle"] == "maximizing_average_floor_constraint"
    assert decided["agreed_constraint"] == 14_000
    assert decided["vote_counts"] == {"maximizing_average_floor_constraint": 3}
    assert decided["participant_votes"][0]["certainty"] == "very_sure"
    assert decided["participant_votes"][0]["timestamp"] == decided["participant_votes"][0]["vote_timestamp"]
    assert history["vote_initiation_requests"]["3"] == {"Agent_1": "No", "Agent_2": "No", "代理三": "Yes"}
    assert history["vote_confirmation_attempts"][0]["confirmation_responses"] == {
        "Agent_1": "Yes",
        "Agent_2": "No",
        "代理三": None,
    }
    assert history["vote_confirmation_attempts"][0]["confirmation_succeeded"] is False
    assert history["vote_statistics"]["failed_parsing_attempts"] == 1
    assert history["vote_statistics"]["average_consensus_round"] == 3
    assert history["vote_statistics"]["confirmations_refused"] == 1


def test_what_a_run_used(result: dict[str, Any]) -> None:
    usage = result["run"]["usage"]
    roles = {row["role"]: row for row in usage["by_role"]}

    assert usage["calls"] == sum(row["calls"] for row in usage["by_role"])
    assert usage["input_tokens"] == sum(row["input_tokens"] for row in usage["by_round"])
    assert usage["reasked"] == 1
    assert roles[None]["calls"] == 9
    cost = sum(
        (Decimal("0.15") * row["input_tokens"] + Decimal("0.60") * row["output_tokens"]) / 1_000_000
        for row in usage["by_role"]
    )
    assert usage["cost"]["total"] == pytest.approx(float(cost), abs=1e-5)
    assert result["run"]["models"]["utility_agent"]["notes"] == ["temperature_unsupported"]


def test_the_model_of_an_agent_is_the_one_that_answered() -> None:
    """Whatever the file calls it: ``--model local`` puts another in its place."""
    used = {**sample.run().models, sample.NAMES[1]: sample.ModelUsed(requested="large")}

    agents = build(sample.run(models=used))["agents"]

    assert [agent["model"] for agent in agents] == ["small", "large", "small"]
    assert {agent["configured_model"] for agent in agents} == {"local"}
    assert {agent["model"] for agent in build(sample.run(models={}))["agents"]} == {None}


def test_a_run_has_its_name_and_the_file_its_own() -> None:
    named = build(sample.run(name="pilot 7/33", config_file="studies/pilot.yaml"))
    without = build(sample.run(name="pilot 7/33", config_file=None))

    assert named["run"]["name"] == without["run"]["name"] == "pilot 7/33"
    assert named["general_information"]["config_file_used"] == "studies/pilot.yaml"
    assert without["general_information"]["config_file_used"] is None


def test_a_configuration_is_told_as_it_was_stored() -> None:
    """Of an earlier version: a key that this one added is not in it, in whatever order a store has it."""
    whole = sample.config().model_dump(mode="json")
    stored = dict(sorted((key, value) for key, value in whole.items() if key != "frame"))
    stored["agents"] = [dict(reversed(agent.items())) for agent in whole["agents"]]
    stored["gone_since"] = {"kept": 1}

    told = build(sample.run(document=stored, earlier=((2, stored),)))["run"]

    assert told["config"] == told["earlier_configs"][0]["config"] == stored
    expected = [key for key in whole if key != "frame"]
    assert list(told["config"]) == [*expected, "gone_since"]
    assert list(told["config"]["agents"][1]) == list(whole["agents"][1])


def test_without_prices_the_cost_is_not_known() -> None:
    priced = sample.run().models
    unknown = {**priced, None: sample.ModelUsed(requested="gpt-4.1-mini")}

    cost = build(sample.run(models=unknown))["run"]["usage"]["cost"]

    assert cost["total"] is None
    assert cost["known"] > 0


@pytest.mark.parametrize("status", [RunStatus.INCOMPLETE, RunStatus.CRASHED])
@pytest.mark.parametrize(
    "reached",
    [
        pytest.param({"phase_1": (), "phase_2": None}, id="nothing"),
        pytest.param({"phase_2": None}, id="phase 1"),
        pytest.param({"phase_2": PartialPhase2(rounds=sample.rounds()[:2])}, id="two rounds"),
        pytest.param({}, id="everything"),
    ],
)
def test_a_run_that_is_not_complete_says_nothing_of_agreement(
    status: RunStatus, reached: dict[str, Any]
) -> None:
    result = build(sample.run(status=status, reason=Reason("cancelled", "Its owner stopped it."), **reached))
    general = result["general_information"]

    assert general["status"] == status.value
    assert general["status_reason"] == {"code": "cancelled", "message": "Its owner stopped it."}
    assert general["consensus_reached"] is None
    assert general["consensus_principle"] is None
    assert general["decided_by"] is None
    assert json.loads(json.dumps(result)) == result


def test_the_rounds_of_a_partial_run_are_kept() -> None:
    result = build(sample.run(status=RunStatus.INCOMPLETE, phase_2=PartialPhase2(rounds=sample.rounds()[:2])))

    assert result["general_information"]["rounds_conducted_phase_2"] == 2
    assert len(result["voting_history"]["vote_rounds"]) == 1
    assert result["agents"][0]["phase_2"]["post_group_discussion"] is None


@pytest.mark.parametrize(
    ("decided_by", "reached", "principle"),
    [
        ("consensus", True, "maximizing_average_floor_constraint"),
        ("majority", True, "maximizing_average_floor_constraint"),
        # Nobody was asked: neither agreement nor disagreement.
        ("imposed", None, None),
        ("none", False, None),
    ],
)
def test_who_decided(decided_by: str, reached: bool | None, principle: str | None) -> None:
    whole = sample.group()
    choice = None if decided_by == "none" else whole.outcome.choice
    outcome = GroupOutcome(
        decided_by=decided_by, choice=choice, binding=None, earnings=whole.outcome.earnings
    )
    changed = Phase2Record(**{name: getattr(whole, name) for name in whole.__slots__} | {"outcome": outcome})

    general = build(sample.run(phase_2=changed))["general_information"]

    assert general["consensus_reached"] is reached
    assert general["consensus_principle"] == principle
    assert general["decided_by"] == decided_by


@pytest.mark.parametrize("cents", [0, 1, 10, 99, 210, 123_456_789, 999_999_999_999_999])
def test_money_loses_nothing_as_a_number(cents: int) -> None:
    amount = Decimal(cents) / 100

    assert Decimal(json.dumps(plain(amount))) == amount


def test_what_json_has_no_form_for_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no form in JSON"):
        plain(object())


def test_an_initiator_is_asked_nothing(result: dict[str, Any]) -> None:
    answers = result["voting_history"]["vote_rounds"][0]["confirmation_results"]

    assert [(answer["initiator"], answer["timestamp"] is None) for answer in answers] == [
        (True, True),
        (False, False),
        (False, False),
    ]
