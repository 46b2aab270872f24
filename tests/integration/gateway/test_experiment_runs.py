"""What is done with a run: resumed with another budget, forked from a round, replayed."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy import select

from gateway.state import GatewayState
from shared.database.models import ExperimentStep
from shared.jobs.states import JobKind, Status
from tests.integration.gateway.conftest import User, fields, problem
from tests.integration.gateway.experiment_runs import CONFIG, Run, connect, finished, start

BUDGET_ERROR = {"code": "budget_exceeded", "message": "The run has used its 10 calls."}


async def shown(user: User, run_id: Any) -> dict[str, Any]:
    answer = await user.http.get(f"/api/experiments/{run_id}")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def paths(state: GatewayState, run_id: Any) -> list[str]:
    async with state.sessions() as session:
        rows = await session.scalars(
            select(ExperimentStep.path)
            .where(ExperimentStep.experiment_id == uuid.UUID(str(run_id)))
            .order_by(ExperimentStep.id)
        )
        return list(rows)


async def out_of_budget(state: GatewayState, user: User) -> Run:
    run = await start(state, user, {**CONFIG, "budget": {"calls": 10, "tokens": 5000}})
    await run.claim()
    await run.stand(calls=10, input_tokens=900, output_tokens=100, seconds=12.5, phase=1)
    await run.end(Status.FAILED, "error", BUDGET_ERROR, BUDGET_ERROR)
    return run


async def test_a_run_goes_on_with_a_higher_budget(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await out_of_budget(state, ada)
    before = await shown(ada, run.id)
    assert before["error"] == BUDGET_ERROR
    answer = await ada.http.post(f"{run.path}/resume", json={"budget": {"calls": 50, "tokens": None}})
    assert answer.status_code == 202, answer.text
    assert answer.json() == {
        "experiment_id": str(run.id),
        "session_id": str(run.job_id),
        "events_url": f"{run.path}/events",
    }
    after = await shown(ada, run.id)
    assert after["config"]["budget"] == {"calls": 50, "tokens": None, "seconds": None}
    assert (after["status"], after["error"], after["calls"]) == ("queued", None, 10)
    assert after["config_hash"] == before["config_hash"]
    await run.claim()
    assert run.job is not None
    assert run.job.attempt == 2
    problem(await ada.http.post(f"{run.path}/resume"), 409, "job_not_ended")


@pytest.mark.parametrize(
    ("budget", "field"),
    [
        ({"calls": 10}, "budget.calls"),
        ({"tokens": 1000, "calls": None}, "budget.tokens"),
        ({"seconds": 12, "calls": 99}, "budget.seconds"),
        ({"calls": 0}, "budget.calls"),
        ({"minutes": 3}, "budget.minutes"),
        ({"tokens": 9999}, "budget.calls"),  # what stopped it is used up still
        ({}, "budget.calls"),
    ],
)
async def test_a_budget_that_is_used_up_already_is_refused(
    ada: User, state: GatewayState, budget: dict[str, Any], field: str
) -> None:
    await connect(ada)
    run = await out_of_budget(state, ada)
    told = problem(
        await ada.http.post(f"{run.path}/resume", json={"budget": budget}), 422, "validation_error"
    )
    assert fields(told) == {field}
    assert (await shown(ada, run.id))["config"]["budget"]["calls"] == 10
    assert (await shown(ada, run.id))["status"] == "failed"


async def test_what_has_not_failed_is_not_resumed(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await start(state, ada)
    problem(await ada.http.post(f"{run.path}/resume"), 409, "job_not_ended")
    done = await finished_after(state, ada, run)
    answer = await ada.http.post(f"{done.path}/resume", json={"budget": {"calls": 99}})
    problem(answer, 409, "job_not_ended")
    assert (await shown(ada, done.id))["config"]["budget"]["calls"] is None


async def finished_after(state: GatewayState, user: User, waiting: Run) -> Run:
    """A finished run, after the one that waits was cancelled out of its way."""
    await user.http.post(f"{waiting.path}/cancel")
    return await finished(state, user)


async def test_a_retry_of_its_job_resumes_a_run(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await out_of_budget(state, ada)
    problem(await ada.http.post(f"{run.path}/resume"), 422, "validation_error")
    answer = await ada.http.post(f"/api/jobs/{run.job_id}/retry")
    assert (answer.status_code, answer.json()["experiment_id"]) == (202, str(run.id))
    assert (await shown(ada, run.id))["status"] == "queued"


async def test_a_fork_has_the_earlier_rounds_in_common(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await finished(state, ada)
    await run.step("p2/r1/Bob/favoured/try1", outcome=None)  # in flight
    body = {"round": 2, "changes": {"phase2_rounds": 8, "decision_rule": "majority"}}
    headers = {"Idempotency-Key": "fork"}
    answer = await ada.http.post(f"{run.path}/fork", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    again = await ada.http.post(f"{run.path}/fork", json=body, headers=headers)
    assert again.json() == answer.json()
    fork = await shown(ada, answer.json()["experiment_id"])
    assert (fork["kind"], fork["source_id"], fork["fork_round"]) == ("fork", str(run.id), 2)
    assert fork["changes"] == body["changes"]
    assert (fork["config"]["phase2_rounds"], fork["config"]["decision_rule"]) == (8, "majority")
    source = await shown(ada, run.id)
    assert fork["seed"] == source["seed"]
    assert fork["models"] == source["models"]
    assert fork["config_hash"] != source["config_hash"]
    assert fork["seed_source"] == source["seed_source"]
    # Though it goes on as it was: part of it is another run's.
    unchanged = await ada.http.post(f"{run.path}/fork", json={"round": 2})
    designs = [(await shown(ada, unchanged.json()["experiment_id"])), fork, source]
    assert len({one["design_hash"] for one in designs}) == 3
    assert (await ada.http.delete(f"/api/experiments/{designs[0]['id']}")).status_code == 409
    await ada.http.post(f"/api/experiments/{designs[0]['id']}/cancel")
    assert (await ada.http.delete(f"/api/experiments/{designs[0]['id']}")).status_code == 204
    assert fork["source_configs"] == [{"from_round": 0, "config": source["config"]}]
    assert (fork["status"], fork["calls"], fork["progress"]) == ("queued", 0, 0.0)
    common = [path for path in await paths(state, run.id) if path.startswith(("p1/", "p2/r1/"))]
    common.remove("p2/r1/Bob/favoured/try1")
    assert await paths(state, fork["id"]) == common
    assert len(common) == 7
    (listed,) = (await ada.http.get(f"/api/experiments?source_id={run.id}")).json()["items"]
    assert listed["id"] == fork["id"]


async def test_a_fork_of_a_fork_knows_what_was_in_force_when(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await finished(state, ada)
    first = await ada.http.post(f"{run.path}/fork", json={"round": 2, "changes": {"phase2_rounds": 8}})
    fork = Run(state, ada, uuid.UUID(first.json()["experiment_id"]), uuid.UUID(first.json()["session_id"]))
    for number in (2, 3, 4):
        await fork.answer(f"p2/r{number}/Bob/statement/try1", "words")
    later = await ada.http.post(f"{fork.path}/fork", json={"round": 4, "changes": {"open_agenda": True}})
    told = await shown(ada, later.json()["experiment_id"])
    first_config, second_config = [(await shown(ada, one))["config"] for one in (run.id, fork.id)]
    assert told["source_configs"] == [
        {"from_round": 0, "config": first_config},
        {"from_round": 2, "config": second_config},
    ]
    assert (told["config"]["phase2_rounds"], told["config"]["open_agenda"]) == (8, True)
    earlier = await ada.http.post(f"{fork.path}/fork", json={"round": 2})
    told = await shown(ada, earlier.json()["experiment_id"])
    assert told["source_configs"] == [{"from_round": 0, "config": first_config}]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"round": 3}, "round"),  # it has two
        ({"round": 6}, "round"),  # there are five at most
        ({"round": 0}, "round"),
        ({"changes": {}}, "round"),
        ({"round": 2, "changes": {"language": "spanish"}}, "language"),
        ({"round": 2, "changes": {"agents": {"Carol": {"model": "local"}}}}, "agents.Carol"),
        ({"round": 2, "changes": {"phase2_rounds": "many"}}, "phase2_rounds"),
        ({"round": 2, "connection": "nobody's"}, "connection"),
        ({"round": 2, "changes": {"models": {"*": "gpt-4.1"}}}, "agents.0.model"),
    ],
)
async def test_a_fork_that_cannot_be(
    ada: User, state: GatewayState, body: dict[str, Any], field: str
) -> None:
    await connect(ada)
    run = await finished(state, ada)
    told = problem(await ada.http.post(f"{run.path}/fork", json=body), 422, "validation_error")
    assert field in fields(told)
    assert len((await ada.http.get("/api/experiments")).json()["items"]) == 1


async def test_a_fork_is_given_other_models(ada: User, state: GatewayState) -> None:
    await connect(ada)
    other = await connect(ada, "other", model="m-2")
    run = await finished(state, ada)
    forked = await ada.http.post(f"{run.path}/fork", json={"round": 1, "connection": "other"})
    models = (await shown(ada, forked.json()["experiment_id"]))["models"]
    assert {one["connection_id"] for one in models["agents"].values()} == {other["id"]}
    changes = {"agents": {"Bob": {"model": "other/m-3"}}}
    forked = await ada.http.post(f"{run.path}/fork", json={"round": 1, "changes": changes})
    models = (await shown(ada, forked.json()["experiment_id"]))["models"]
    assert [models["agents"][name]["model"] for name in ("Alice", "Bob")] == ["m-1", "m-3"]


async def test_a_finished_run_is_replayed_from_its_source(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await finished(state, ada)
    answer = await ada.http.post(f"{run.path}/replay", headers={"Idempotency-Key": "r"})
    assert answer.status_code == 202, answer.text
    again = await ada.http.post(f"{run.path}/replay", headers={"Idempotency-Key": "r"})
    assert again.json() == answer.json()
    replay, source = await shown(ada, answer.json()["experiment_id"]), await shown(ada, run.id)
    assert (replay["kind"], replay["source_id"], replay["matches_source"]) == ("replay", str(run.id), None)
    same = "config config_hash design_hash seed seed_source models connection profile"
    for key in same.split():
        assert replay[key] == source[key]
    assert await paths(state, replay["id"]) == []
    claimed = await state.jobs.store.claim(JobKind.EXPERIMENT, "w")
    assert claimed is not None
    assert str(claimed.id) == replay["session_id"]


async def test_a_replay_of_a_replay_and_a_fork_of_one_go_back_to_the_steps(
    ada: User, state: GatewayState
) -> None:
    await connect(ada)
    run = await finished(state, ada)
    told = (await ada.http.post(f"{run.path}/replay", json={"name": "again"})).json()
    replay = Run(state, ada, uuid.UUID(told["experiment_id"]), uuid.UUID(told["session_id"]))
    await replay.claim()
    await replay.end(Status.SUCCEEDED, "experiment_finished")
    assert (await ada.http.delete(run.path)).status_code == 204
    second = (await ada.http.post(f"{replay.path}/replay")).json()
    assert (await shown(ada, second["experiment_id"]))["source_id"] == str(run.id)
    fork = (await ada.http.post(f"{replay.path}/fork", json={"round": 1})).json()
    assert await paths(state, fork["experiment_id"]) == [
        f"p1/{name}/ranking/initial/try1" for name in ("Alice", "Bob")
    ]
    # A replay shows the steps of its source.
    transcript = await ada.http.get(f"{replay.path}/transcript")
    assert len(transcript.text.splitlines()) == len(await paths(state, run.id))


async def test_a_replayed_fork_keeps_what_was_in_force(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await finished(state, ada)
    told = (
        await ada.http.post(f"{run.path}/fork", json={"round": 2, "changes": {"phase2_rounds": 3}})
    ).json()
    fork = Run(state, ada, uuid.UUID(told["experiment_id"]), uuid.UUID(told["session_id"]))
    await fork.claim()
    await fork.end(Status.SUCCEEDED, "experiment_finished")
    answer = await ada.http.post(f"{fork.path}/replay")
    replay, source = await shown(ada, answer.json()["experiment_id"]), await shown(ada, fork.id)
    assert (replay["kind"], replay["fork_round"]) == ("replay", 2)
    for key in ("config", "source_configs", "changes"):
        assert replay[key] == source[key]


async def test_only_what_came_to_its_end_is_replayed(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await start(state, ada)
    told = problem(await ada.http.post(f"{run.path}/replay"), 409, "experiment_not_finished")
    assert "wait" in told["detail"]
    await run.claim()
    await run.end(Status.FAILED, "error", BUDGET_ERROR, BUDGET_ERROR)
    told = problem(await ada.http.post(f"{run.path}/replay"), 409, "experiment_not_finished")
    assert "resume" in told["detail"]
