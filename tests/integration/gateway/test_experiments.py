"""Experiments: checked, accepted once, listed and looked into by their owner."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from gateway.state import GatewayState
from shared.jobs.states import JobKind, Status
from tests.integration.gateway.conftest import User, fields, problem
from tests.integration.gateway.experiment_runs import CONFIG, YAML, Run, connect, finished, start

SHAPE = {"experiment_id", "session_id", "events_url"}


async def test_an_experiment_is_accepted_as_a_job(ada: User, state: GatewayState) -> None:
    local = await connect(ada)
    answer = await ada.http.post("/api/experiments", json={"name": "first", "config": CONFIG, "seed": 7})
    assert answer.status_code == 202, answer.text
    told = answer.json()
    assert told.keys() == SHAPE
    assert told["events_url"] == f"/api/experiments/{told['experiment_id']}/events"
    shown = (await ada.http.get(f"/api/experiments/{told['experiment_id']}")).json()
    assert (shown["name"], shown["seed"], shown["kind"]) == ("first", 7, "run")
    assert (shown["status"], shown["active"], shown["queue_position"]) == ("queued", True, 0)
    assert (shown["phase"], shown["round"], shown["progress"], shown["tokens"]) == (0, 0, 0.0, 0)
    assert shown["config"]["phase2_rounds"] == 5
    assert shown["config"]["seed"] == 7
    assert shown["attempts"] == []
    model = {
        "connection_id": local["id"],
        "connection_name": "local",
        "provider": "openai",
        "model": "m-1",
    }
    assert shown["models"] == {"agents": {"Alice": model, "Bob": model}, "utility": model}
    job = (await ada.http.get(f"/api/jobs/{told['session_id']}")).json()
    assert (job["kind"], job["experiment_id"]) == ("experiment", told["experiment_id"])
    (listed,) = (await ada.http.get("/api/jobs?kind=experiment")).json()["items"]
    assert listed["id"] == told["session_id"]
    claimed = await state.jobs.store.claim(JobKind.EXPERIMENT, "w")
    assert claimed is not None
    assert claimed.payload == {"experiment_id": told["experiment_id"]}


async def test_a_yaml_file_is_run_as_it_is(ada: User) -> None:
    await connect(ada)
    answer = await ada.http.post(
        "/api/experiments?seed=3&file=study/two agents.yaml",
        content=YAML.encode(),
        headers={"Content-Type": "application/yaml; charset=utf-8"},
    )
    assert answer.status_code == 202, answer.text
    shown = (await ada.http.get(f"/api/experiments/{answer.json()['experiment_id']}")).json()
    assert (shown["name"], shown["seed"], shown["config_file"]) == ("two agents", 3, "study/two agents.yaml")
    as_json = await ada.http.post("/api/experiments", json={"config": CONFIG, "seed": 3})
    other = (await ada.http.get(f"/api/experiments/{as_json.json()['experiment_id']}")).json()
    assert other["config"] == shown["config"]
    assert other["config_hash"] == shown["config_hash"]
    assert other["name"] == "experiment"


async def begun(ada: User, config: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = await ada.http.post("/api/experiments", json={"config": config, **body})
    assert answer.status_code == 202, answer.text
    shown: dict[str, Any] = (await ada.http.get(f"/api/experiments/{answer.json()['experiment_id']}")).json()
    return shown


async def test_a_run_says_where_its_seed_is_from(ada: User) -> None:
    await connect(ada)
    runs = [
        await begun(ada, {**CONFIG, "seed": 5}),
        await begun(ada, {**CONFIG, "seed": 5}, seed=6),
        await begun(ada, CONFIG),
        await begun(ada, CONFIG, seed=6, seed_source="derived"),
        await begun(ada, CONFIG, seed=6, seed_source="drawn"),
    ]
    assert [run["seed_source"] for run in runs] == ["config", "request", "derived", "derived", "drawn"]
    as_yaml = await ada.http.post(
        "/api/experiments?seed=8&seed_source=derived",
        content=YAML.encode(),
        headers={"Content-Type": "application/yaml"},
    )
    listed = (await ada.http.get("/api/experiments")).json()["items"]
    assert listed[0]["id"] == as_yaml.json()["experiment_id"]
    assert (listed[0]["seed"], listed[0]["seed_source"]) == (8, "derived")


async def test_repetitions_have_one_design_and_other_models_another(ada: User) -> None:
    await connect(ada)
    await connect(ada, "other", model="m-2")
    first, second = await begun(ada, CONFIG, seed=1), await begun(ada, CONFIG, seed=2)
    assert first["design_hash"] == second["design_hash"]
    assert first["config_hash"] != second["config_hash"]
    listed = (await ada.http.get("/api/experiments")).json()["items"]
    assert {run["design_hash"] for run in listed} == {first["design_hash"]}
    elsewhere = await begun(ada, CONFIG, seed=1, connection="other")
    assert (elsewhere["connection"], first["connection"]) == ("other", None)
    assert elsewhere["config_hash"] == first["config_hash"]
    assert elsewhere["design_hash"] != first["design_hash"]
    # The same models by another way are the same design.
    named = await begun(ada, {**CONFIG, "models": {"*": "other/m-2"}}, seed=3)
    assert named["design_hash"] == elsewhere["design_hash"]
    validated = await ada.http.post("/api/experiments/validate", json={"config": CONFIG})
    assert validated.json()["design_hash"] == first["design_hash"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"phase2_rounds": 0}, "phase2_rounds"),
        ({"no_such_key": 1}, "no_such_key"),
        ({"agents": [{"name": "A", "personality": "x"}, {"name": "a", "personality": "x"}]}, "agents.1.name"),
    ],
)
async def test_a_wrong_configuration_is_refused_by_its_path(
    ada: User, change: dict[str, Any], field: str
) -> None:
    await connect(ada)
    body = {"config": {**CONFIG, **change}}
    told = problem(await ada.http.post("/api/experiments", json=body), 422, "validation_error")
    assert field in fields(told)
    answer = await ada.http.post("/api/experiments/validate", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["valid"] is False
    assert field in {error["field"] for error in answer.json()["errors"]}
    assert (await ada.http.get("/api/experiments")).json()["items"] == []


@pytest.mark.parametrize(
    ("send", "status", "code", "field"),
    [
        ({"json": {"config": CONFIG, "sede": 1}}, 422, "validation_error", "sede"),
        ({"json": {"config": CONFIG, "seed": -1}}, 422, "validation_error", "seed"),
        ({"json": {"config": CONFIG, "seed": True}}, 422, "validation_error", "seed"),
        ({"json": {"config": CONFIG, "seed_source": "drawn"}}, 422, "validation_error", "seed_source"),
        (
            {"json": {"config": CONFIG, "seed": 1, "seed_source": "guess"}},
            422,
            "validation_error",
            "seed_source",
        ),
        ({"json": {"name": "x"}}, 422, "validation_error", "config"),
        ({"json": [1]}, 422, "validation_error", "body"),
        ({"json": {"config": CONFIG}, "params": {"seed": 1}}, 422, "validation_error", "seed"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "malformed_json", None),
        (
            {"content": b"a: *b", "headers": {"Content-Type": "application/yaml"}},
            422,
            "validation_error",
            "body",
        ),
        (
            {"content": b"\xff", "headers": {"Content-Type": "text/yaml"}},
            422,
            "validation_error",
            "body",
        ),
        (
            {"content": b"x", "headers": {"Content-Type": "text/csv"}},
            415,
            "unsupported_media_type",
            None,
        ),
        ({"json": {"config": CONFIG, "connection": "nobody's"}}, 422, "validation_error", "connection"),
    ],
)
async def test_what_cannot_be_read_is_refused(
    ada: User, send: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    await connect(ada)
    told = problem(await ada.http.post("/api/experiments", **send), status, code)
    if field is not None:
        assert fields(told) == {field}


async def test_validation_tells_what_a_run_would_take(ada: User) -> None:
    await connect(ada)
    answer = (await ada.http.post("/api/experiments/validate", json={"config": CONFIG, "seed": 5})).json()
    assert (answer["valid"], answer["errors"], answer["seed"]) == (True, [], 5)
    calls = answer["calls"]
    assert 0 < calls["phase_1"] < calls["minimum"] <= calls["expected"] <= calls["maximum"]
    assert answer["models"]["agents"]["Bob"]["connection_name"] == "local"
    as_yaml = await ada.http.post(
        "/api/experiments/validate?seed=5",
        content=YAML.encode(),
        headers={"Content-Type": "application/x-yaml"},
    )
    assert as_yaml.json() == answer
    broken = await ada.http.post(
        "/api/experiments/validate",
        content=b"agents: [1\nb: 2",
        headers={"Content-Type": "application/yaml"},
    )
    assert broken.json()["valid"] is False
    assert broken.json()["errors"][0]["line"] == 2
    assert (await ada.http.get("/api/experiments")).json()["items"] == []


async def test_validation_tells_every_fault_and_what_may_surprise(ada: User) -> None:
    await connect(ada)

    async def validated(**keys: Any) -> dict[str, Any]:
        answer = await ada.http.post("/api/experiments/validate", json={"config": {**CONFIG, **keys}})
        told: dict[str, Any] = answer.json()
        return told

    careless = await validated(batch_simple_events=True)
    assert careless["valid"] is True
    (caution,) = careless["cautions"]
    assert caution["field"] == "batch_simple_events"
    assert "no effect" in caution["message"]
    wrong = await validated(
        agents=[CONFIG["agents"][0]] * 2,
        decision_rule="imposed:maximizing_average_floor_constraint",
        phase2_round=3,
        batch_simple_events=True,
    )
    assert (wrong["valid"], wrong["cautions"]) == (False, [])
    assert {error["field"] for error in wrong["errors"]} == {
        "agents.1.name",
        "imposed_amount",
        "phase2_round",
    }
    assert (await validated())["cautions"] == []


async def test_the_schema_is_published(ada: User) -> None:
    answer = await ada.http.get("/api/experiments/schema")
    assert answer.status_code == 200
    assert {"agents", "phase2_rounds", "profile"} <= answer.json()["properties"].keys()


async def test_the_same_key_and_body_make_one_experiment(ada: User) -> None:
    await connect(ada)
    headers = {"Idempotency-Key": "k"}
    body = {"config": CONFIG}
    answers = await asyncio.gather(
        *(ada.http.post("/api/experiments", json=body, headers=headers) for _ in range(4))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 3
    assert len((await ada.http.get("/api/experiments")).json()["items"]) == 1
    (connection,) = (await ada.http.get("/api/connections")).json()["items"]
    assert (await ada.http.delete(f"/api/connections/{connection['id']}")).status_code == 204
    late = await ada.http.post("/api/experiments", json=body, headers=headers)
    assert (late.status_code, late.text) == (202, answers[0].text)
    other = await ada.http.post("/api/experiments", json={**body, "seed": 1}, headers=headers)
    problem(other, 422, "idempotency_key_reused")
    as_yaml = await ada.http.post(
        "/api/experiments",
        content=YAML.encode(),
        headers={"Content-Type": "application/yaml", **headers},
    )
    problem(as_yaml, 422, "idempotency_key_reused")


async def test_the_list_is_filtered_and_paged(ada: User, eve: User, state: GatewayState) -> None:
    await connect(ada)
    done = await finished(state, ada)
    waiting = [await start(state, ada, name=f"n{number}") for number in range(3)]

    async def ids(**query: Any) -> list[str]:
        answer = await ada.http.get("/api/experiments", params=query)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]

    queued = [str(run.id) for run in reversed(waiting)]
    assert await ids() == [*queued, str(done.id)]
    assert await ids(status="queued") == queued
    assert await ids(status="succeeded", kind="run") == [str(done.id)]
    assert await ids(kind="fork") == await ids(source_id=str(done.id)) == await ids(status="failed") == []
    page = (await ada.http.get("/api/experiments", params={"limit": 3})).json()
    rest = await ids(limit=3, cursor=page["next_cursor"])
    assert [item["id"] for item in page["items"]] + rest == [*queued, str(done.id)]
    (summary,) = (await ada.http.get("/api/experiments?status=succeeded")).json()["items"]
    assert (summary["tokens"], summary["progress"], summary["seconds_left"]) == (120, 1.0, None)
    assert (await eve.http.get("/api/experiments")).json() == {"items": [], "next_cursor": None}


async def test_a_run_that_is_being_cancelled_is_shown_so(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await start(state, ada)
    await run.claim()
    answer = await ada.http.post(f"{run.path}/cancel")
    assert answer.json() == {
        "experiment_id": str(run.id),
        "session_id": str(run.job_id),
        "cancelled": True,
        "status": "cancelling",
        "message": "The run is being cancelled.",
    }
    (item,) = (await ada.http.get("/api/experiments?status=cancelling")).json()["items"]
    assert (item["id"], item["status"], item["active"]) == (str(run.id), "cancelling", True)
    assert (await ada.http.get("/api/experiments?status=running")).json()["items"] == []


async def test_an_experiment_is_renamed_and_deleted(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await start(state, ada)
    renamed = await ada.http.patch(run.path, json={"name": "other"})
    assert renamed.json()["name"] == "other"
    assert fields(problem(await ada.http.patch(run.path, json={"name": " "}), 422, "validation_error")) == {
        "name"
    }
    assert (await ada.http.patch(run.path, json={})).json()["name"] == "other"
    problem(await ada.http.delete(run.path), 409, "experiment_running")
    await ada.http.post(f"{run.path}/cancel")
    assert (await ada.http.delete(run.path)).status_code == 204
    for path in ("", "/result", "/transcript", "/events", "/report"):
        problem(await ada.http.get(run.path + path), 404, "experiment_not_found")
    problem(await ada.http.delete(run.path), 404, "experiment_not_found")
    problem(await ada.http.post(f"/api/jobs/{run.job_id}/retry"), 404, "experiment_not_found")
    assert (await ada.http.get("/api/experiments")).json()["items"] == []


async def test_an_experiment_is_its_owners(ada: User, eve: User, state: GatewayState) -> None:
    await connect(ada)
    run = await finished(state, ada)
    for path in ("", "/result", "/transcript", "/events", "/report"):
        problem(await eve.http.get(run.path + path), 404, "experiment_not_found")
    for path in ("cancel", "resume", "replay"):
        problem(await eve.http.post(f"{run.path}/{path}"), 404, "experiment_not_found")
    problem(await eve.http.post(f"{run.path}/fork", json={"round": 1}), 404, "experiment_not_found")
    problem(await ada.http.get(f"/api/experiments/{uuid.uuid4()}"), 404, "experiment_not_found")


async def test_how_far_a_run_is(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await start(state, ada)
    await run.claim()
    await run.stand(phase=2, round=3, progress=0.5, seconds_left=60.0, cost=1.25, degraded=1)
    shown = (await ada.http.get(run.path)).json()
    assert (shown["status"], shown["attempt"]) == ("running", 1)
    assert (shown["phase"], shown["round"], shown["progress"]) == (2, 3, 0.5)
    assert (shown["seconds_left"], shown["cost"], shown["degraded"]) == (60.0, 1.25, 1)
    assert shown["started_at"]
    assert [attempt["outcome"] for attempt in shown["attempts"]] == [None]
    error = {"code": "provider_timeout", "message": "It took too long."}
    await run.end(Status.FAILED, "error", error, error)
    shown = (await ada.http.get(run.path)).json()
    assert (shown["status"], shown["error"], shown["seconds_left"]) == ("failed", error, None)
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["failed"]


async def test_owners_take_turns_with_their_experiments(ada: User, eve: User, state: GatewayState) -> None:
    for user in (ada, eve):
        await connect(user)
    runs: list[Run] = [await start(state, ada) for _ in range(3)]
    runs.append(await start(state, eve))
    claimed = [await state.jobs.store.claim(JobKind.EXPERIMENT, "w") for _ in range(4)]
    assert [job.id for job in claimed if job] == [runs[n].job_id for n in (0, 3, 1, 2)]
    assert await state.jobs.store.claim(JobKind.EXPERIMENT, "w") is None
    assert await state.jobs.store.claim(JobKind.CHAT, "w") is None
