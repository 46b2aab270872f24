"""What the services of a run do, seen from outside: orders, memories, results, degraded runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.experiments.lab import LONG, Lab, asked, config, connected, model, working
from tests.integration.experiments.money import WITH_FLOOR
from tests.support.stack import Stack

_EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def values(found: Any, name: str) -> Iterator[Any]:
    """Everything that stands under ``name``, however deep."""
    if isinstance(found, dict):
        for key, value in found.items():
            if key == name:
                yield value
            yield from values(value, name)
    elif isinstance(found, list):
        for value in found:
            yield from values(value, name)


@pytest.mark.parametrize("agents", [2, 3])
@pytest.mark.parametrize("strategy", ["random", "fixed", "conversational"])
async def test_who_spoke_last_never_opens_the_next_round(lab: Lab, strategy: str, agents: int) -> None:
    run = config(*["talk"] * agents, phase2_rounds=4, speaking_order_strategy=strategy)
    orders = [one["order"] for one in (await lab.play(run)).of("speaking_order")]
    assert all(sorted(order) == ["Alice", "Bob", "Carol"][:agents] for order in orders)
    assert all(before[-1] != after[0] for before, after in itertools.pairwise(orders))


async def test_who_wanted_to_vote_is_silent_until_a_vote_fails_where_that_is_configured(lab: Lab) -> None:
    """Alice asked for a vote in round 1, which Bob did not take part in."""
    plays = ("agree", "agree+declines+comes_round", "agree+never_calls")
    played = await lab.play(config(*plays, finished_agents_may_speak=False, phase2_rounds=3))
    orders = [one["order"] for one in played.of("speaking_order")]
    assert sorted(orders[0]) == ["Alice", "Bob", "Carol"]
    assert sorted(orders[1]) == ["Bob", "Carol"]
    said = [(one["round"], one["agent"]) for one in played.of("statement")]
    assert (2, "Alice") not in said
    assert played.agent("Alice")["phase_2"]["rounds"][1]["public_message"] is None
    assert played.general["decided_principle"] == WITH_FLOOR


async def test_a_vote_is_called_in_a_statement_where_nobody_is_asked(lab: Lab) -> None:
    played = await lab.play(
        config("agree", "agree+calls", "agree", phase2_settings={"prompt_based_voting": False})
    )
    assert await lab.asked("initiation") == []
    [vote] = played.votes
    assert (vote["trigger"], vote["trigger_participant"]) == ("initiated", "Bob")
    assert "I call for a vote now" in vote["trigger_statement"]
    assert played.general["decided_principle"] == WITH_FLOOR


async def test_memories_are_rewritten_compressed_and_kept_within_their_limit(lab: Lab) -> None:
    run = config(
        "talk+remembers",
        "talk+refuses_to_remember",
        phase2_rounds=2,
        memory_update_threshold="moderate",
        utility_agent_model=model("hears_3+remembers"),
    )
    for agent in run["agents"]:
        agent["memory_character_limit"] = 1_200
    played = await lab.play(run)
    for agent in played.result["agents"]:
        memories = [one for one in values(agent, "memory_coming_in_this_round") if one is not None]
        assert max(map(len, memories)) <= 1_200
    assert "We are in round 2." in (await lab.asked("final_ranking", "talk+remembers"))[0].text
    # What is no memory is not kept; what happened is, and is compressed when it grows.
    assert not any("cannot help with that" in one.text for one in await lab.asked("ranking"))
    assert len(await lab.asked("compress")) > 0
    growth = played.result["analysis"]["memory_growth"]
    assert {len(one) for one in growth.values()} == {3}
    # Everybody's memory has a round in it before anybody is asked about the vote.
    kinds = [(asked(one).kind, asked(one).round) for one in await lab.requests()]
    assert kinds.index(("memory", 1)) > kinds.index(("statement", 1))
    assert max(i for i, one in enumerate(kinds) if one == ("memory", 1)) < kinds.index(("initiation", 1))


async def test_private_thoughts_are_read_by_their_agent_only(lab: Lab) -> None:
    run = config("agree", "agree+plain_english")
    for agent in run["agents"]:
        agent["reasoning_enabled"] = True
    played = await lab.play(run)
    first = played.of("speaking_order")[0]["order"]
    thoughts = {name: played.agent(name)["phase_2"]["rounds"][0]["internal_reasoning"] for name in first}
    assert all(thoughts.values())
    plays = {"Alice": model("agree"), "Bob": model("agree+plain_english")}
    for name, thought in thoughts.items():
        readers = {
            one["body"]["model"]
            for one in await lab.requests()
            if "(the others do not know it)" in asked(one).question and thought in asked(one).question
        }
        assert readers == {plays[name]}


@pytest.mark.parametrize("level", ["basic", "full"])
async def test_results_tell_as_much_as_is_configured(lab: Lab, level: str) -> None:
    played = await lab.play(config("agree", "agree", phase2_enhanced_transparency={"detail_level": level}))
    shown = played.earning("Alice")["results_shown"]
    assert ("What the same class earns under each principle" in shown) == (level != "basic")
    assert ("What everybody earned" in shown) == (level == "full")
    assert f"${played.earning('Alice')['payoff_received']:.2f}" in shown
    # It is what the agent had before its eyes when it ranked for the last time.
    assert any(shown in one.text for one in await lab.asked("final_ranking"))


async def test_a_service_that_fails_is_done_without_and_reported(lab: Lab) -> None:
    """Without one readable ranking there is no target: the run goes on, and says so."""
    play = "agree+garbled_ranking"
    run = config(play, play, manipulator={"name": "Bob"}, max_participant_retries=0)
    played = await lab.play(run)
    degraded = played.result["run"]["degraded_services"]
    assert "manipulator" in {one["service"] for one in degraded}
    assert all(one["message"] and one["step"] for one in degraded)
    assert len(played.of("service_degraded")) == len(degraded) == played.shown["degraded"]
    assert played.general["manipulator_target_info"]["delivered"] is False
    assert played.general["decided_principle"] == WITH_FLOOR


async def test_the_same_answers_make_the_same_result_in_whatever_order_they_come(
    lab: Lab, stack: Stack
) -> None:
    """Everything is drawn from what is asked; once all at once, once one call after the other."""
    run = config(
        "chance",
        "chance",
        initiation="all",
        phase2_rounds=2,
        utility_agent_model=model("chance"),
        memory_update_threshold="moderate",
    )
    first = await lab.play(run)
    careful = stack.user()
    async with working(careful, connected(careful, max_in_flight=1)) as other:
        second = await other.play(run)
    assert first.id != second.id
    assert first.shown["result_hash"] == second.shown["result_hash"]
    other_seed = await lab.play({**run, "seed": 12})
    assert other_seed.shown["result_hash"] != first.shown["result_hash"]


async def test_a_model_that_is_not_there_crashes_the_run_and_is_no_disagreement(lab: Lab) -> None:
    run = config("agree", "agree")
    run["agents"][1]["model"] = "missing"
    stopped = await lab.ended(await lab.start(run))
    assert (stopped.shown["status"], stopped.shown["error"]["code"]) == ("failed", "model_not_found")
    assert stopped.general["status"] == "crashed"
    assert stopped.general["status_reason"]["code"] == "model_not_found"
    assert stopped.general["consensus_reached"] is None
    assert stopped.events[-1]["data"]["code"] == "model_not_found"


async def test_the_transcript_has_every_call(lab: Lab) -> None:
    played = await lab.play(config("agree", "agree+garbled"))
    everything = await lab.transcript(
        played.path, include_memory_updates=True, include_instructions=True, include_input_prompts=True
    )
    calls = [one for one in everything if one["kind"] == "call"]
    assert len(calls) == played.result["run"]["usage"]["calls"] == len(await lab.requests())
    # Of every call, what was really sent.
    sent = {tuple(str(said["content"]) for said in one["body"]["messages"]) for one in await lab.requests()}
    assert {(one["instructions"], one["prompt"]) for one in calls} == sent
    assert not any("instructions" in one for one in await lab.transcript(played.path))
    paths = [one["path"] for one in everything]
    for step in (step for steps in values(played.result, "steps") for step in steps):
        assert step in paths
    markdown = await lab.http.get(f"{played.path}/transcript", params={"format": "markdown"})
    assert "principle 1 or 2" in markdown.text


async def test_the_earlier_project_s_file_runs_as_it_is(lab: Lab) -> None:
    """Its default configuration as YAML, over one connection; as many calls as were expected at most."""
    lab.user.connect("all", model=model("agree"), settings={"api_key": lab.key})
    source = (_EXAMPLES / "original_default.yaml").read_text()
    answer = await lab.http.post(
        "/api/experiments",
        params={"connection": "all", "file": "original_default.yaml"},
        content=source,
        headers={"Content-Type": "application/yaml"},
        timeout=LONG,
    )
    assert answer.status_code == 202, answer.text
    played = await lab.ended(f"/api/experiments/{answer.json()['experiment_id']}")
    assert played.shown["status"] == "succeeded", played.shown
    assert played.general["config_file_used"] == "original_default.yaml"
    assert played.general["decided_principle"] == WITH_FLOOR
    assert played.shown["profile"] == "original"
    checked = await lab.http.post(
        "/api/experiments/validate",
        params={"connection": "all"},
        content=source,
        headers={"Content-Type": "application/yaml"},
    )
    calls = checked.json()["calls"]
    assert calls["minimum"] <= played.shown["calls"] <= calls["maximum"]
