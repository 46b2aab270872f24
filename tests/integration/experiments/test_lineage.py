"""Replays and forks of runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.engine import create_engine
from shared.schemas.experiment.reading import read_config
from shared.schemas.experiment.stored import stored
from tests.integration.experiments.lab import Lab, asked, config, model
from tests.integration.experiments.money import FLOOR, WITH_FLOOR, check, scaled
from workers.experiment.result.versions import prompts_hash


async def test_a_replay_asks_nobody_and_has_the_same_digest(lab: Lab) -> None:
    """Of a run with re-asked answers, an abstention, two rounds and a manipulator."""
    source = await lab.play(
        config(
            "agree+waits",
            "agree+garbled",
            "agree+waits",
            phase2_rounds=2,
            manipulator={"name": "Carol", "type": "persuasive"},
        )
    )
    lab.user.stack.model.reset()
    replay = await lab.derive(source.path, "replay")
    assert await lab.requests() == []
    assert (replay.shown["kind"], replay.shown["matches_source"]) == ("replay", True)
    assert replay.shown["result_hash"] == source.shown["result_hash"]
    assert replay.result["run"]["lineage"]["replay_of"] == source.id
    assert replay.result["agents"] == source.result["agents"]
    assert replay.result["voting_history"] == source.result["voting_history"]
    told = [event for event in source.types if event != "progress"]
    assert sorted(told) == sorted(event for event in replay.types if event != "progress")
    # A replay of a replay is one of the same run.
    again = await lab.derive(replay.path, "replay")
    assert again.shown["result_hash"] == source.shown["result_hash"]
    listed = await lab.http.get("/api/experiments", params={"source_id": source.id})
    assert {one["id"] for one in listed.json()["items"]} >= {replay.id}


async def test_a_result_names_who_spoke_and_what_they_were_asked_with(lab: Lab) -> None:
    """Named in the file are models that nobody asks: the request put another in their place."""
    given = config("agree", "agree") | {"connection": None, "utility_agent_model": "gpt-4.1-mini"}
    for agent in given["agents"]:
        agent["model"] = "gemini-2.5-flash"
    played = await lab.play(given, name="pilot 7/33", connection=f"fake/{model('agree')}", seed=4)
    run = played.result["run"]
    for agent in played.result["agents"]:
        assert (agent["model"], agent["configured_model"]) == (model("agree"), "gemini-2.5-flash")
        assert run["models"]["agents"][agent["name"]]["requested"] == model("agree")
    assert (run["name"], run["connection"]) == ("pilot 7/33", f"fake/{model('agree')}")
    assert (run["seed"], run["seed_source"]) == (4, "request")
    assert (run["config_hash"], run["design_hash"]) == (
        played.shown["config_hash"],
        played.shown["design_hash"],
    )
    assert run["config"] == played.shown["config"]
    assert list(run["config"]) == list(stored(read_config(given)))
    assert run["versions"]["prompts"] == prompts_hash()


@pytest.fixture
async def engine(lab: Lab) -> AsyncIterator[AsyncEngine]:
    """The stack's database."""
    made = create_engine(lab.user.stack.database_url)
    yield made
    await made.dispose()


async def test_a_replay_that_diverges_names_both_versions(lab: Lab, engine: AsyncEngine) -> None:
    """As after an upgrade: the result says other versions, and an answer was given to another question."""
    source = await lab.play(config("agree", "agree"))
    parameters = {"id": UUID(source.id)}
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "UPDATE experiment_steps SET prompt_hash = repeat('0', 64) "
                "WHERE experiment_id = :id AND path = 'p1/Alice/ranking/initial/try1'"
            ),
            parameters,
        )
    replay = await lab.derive(source.path, "replay")
    assert replay.shown["error"]["code"] == "replay_diverged"
    assert "The run was made with" not in replay.shown["error"]["message"]
    async with engine.begin() as connection:
        versions = source.result["run"]["versions"]
        await connection.execute(
            text(
                "UPDATE experiment_results SET result = replace(result, :prompts, repeat('a', 64)) "
                "WHERE experiment_id = :id"
            ),
            {**parameters, "prompts": versions["prompts"]},
        )
    replay = await lab.derive(source.path, "replay")
    assert replay.shown["status"] == "failed"
    message = replay.shown["error"]["message"]
    assert "p1/Alice/ranking/initial/try1" in message
    assert f"made with Parley {versions['parley']} (prompts: SHA-256 aaaaaaaaaaaa…)" in message
    assert f"(prompts: SHA-256 {versions['prompts'][:12]}…)" in message


async def test_a_fork_changes_the_rule_from_a_round_on(lab: Lab) -> None:
    """Two of three are of one mind: no consensus in two rounds, a majority in the second of the fork."""
    source = await lab.play(config("agree", "agree", "agree+floor", phase2_rounds=2))
    assert [vote["disagreement"] for vote in source.votes] == ["principle_disagreement"] * 2
    lab.user.stack.model.reset()
    fork = await lab.derive(source.path, "fork", round=2, changes={"decision_rule": "majority"})
    assert fork.shown["status"] == "succeeded", fork.shown
    # Phase 1 and the first round are taken over: nobody is asked about them.
    requests = [asked(one) for one in await lab.requests()]
    assert {one.kind for one in requests}.isdisjoint({"ranking", "application", "explanation"})
    assert {one.round for one in requests if one.kind in ("statement", "ballot", "initiation")} == {2}
    assert len(requests) < source.shown["calls"]
    # The first round's vote came to what it came to.
    assert fork.votes[0]["disagreement"] == "principle_disagreement"
    assert fork.votes[0]["participant_votes"] == source.votes[0]["participant_votes"]
    assert fork.votes[1]["consensus_reached"] is True
    assert (fork.general["decided_by"], fork.general["consensus_amount"]) == ("majority", 14_000)
    assert fork.general["decided_principle"] == WITH_FLOOR
    assert [agent["phase_1"] for agent in fork.result["agents"]] == [
        agent["phase_1"] for agent in source.result["agents"]
    ]
    assert fork.result["run"]["lineage"] == {
        "replay_of": None,
        "forked_from": source.id,
        "forked_round": 2,
    }
    [before] = fork.result["run"]["earlier_configs"]
    assert before["config"]["decision_rule"] == "unanimity"
    check(fork.earning("Alice"), scaled(fork.general["distribution_multiplier"]))
    replay = await lab.derive(fork.path, "replay")
    assert replay.shown["result_hash"] == fork.shown["result_hash"]


async def test_a_fork_may_impose_nothing_that_lies_behind_it(lab: Lab) -> None:
    source = await lab.play(config("agree+floor", "agree+floor"))
    assert source.general["decided_principle"] == FLOOR
    for body, field in (
        ({"round": 9, "changes": {}}, "round"),
        ({"round": 1, "changes": {"seed": 5}}, "changes.seed"),
        ({"round": 1, "changes": {"no_such_key": 5}}, "changes.no_such_key"),
    ):
        answer = await lab.http.post(f"{source.path}/fork", json=body)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["field"].endswith(field.removeprefix("changes.")), answer.text
