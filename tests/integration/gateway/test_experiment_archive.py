"""What a run recorded, for its owner: the step log in the order of its paths, and the run as one file."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import orjson
import pytest

from gateway.routes import experiment_archive
from gateway.state import GatewayState
from shared.jobs.states import Status
from shared.schemas.experiment.archive import ArchiveEnd, ArchiveHeader, StepLine
from tests.integration.gateway.conftest import User, problem
from tests.integration.gateway.experiment_runs import YAML, Run, connect, finished
from tests.integration.gateway.test_experiment_results import FAILED, discussing


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/jsonl"
    return [orjson.loads(line) for line in answer.text.splitlines()]


async def test_steps_come_whole_and_in_the_order_of_their_paths(
    ada: User, state: GatewayState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment_archive, "PAGE", 2)
    await connect(ada)
    run = await discussing(state, ada)
    await run.answer(
        "p1/Alice/explanation", "first by its path", prompt_hash="a" * 64, notes=["schema_unsupported"]
    )
    await run.end(Status.FAILED, "error", FAILED, FAILED)
    told = lines(await ada.http.get(f"{run.path}/steps"))
    paths = [line["path"] for line in told]
    assert paths == sorted(paths)
    assert len(paths) == 9
    assert (told[0]["prompt_hash"], told[0]["notes"]) == ("a" * 64, ["schema_unsupported"])
    assert told[0]["system_prompt"] == "memory of p1/Alice/explanation"
    assert "p2/r1/Bob/memory/discussion" in paths
    for line in told:
        StepLine.model_validate(line)


async def test_while_a_phase_goes_on_its_secrets_are_kept(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await discussing(state, ada)
    told = lines(await ada.http.get(f"{run.path}/steps"))
    assert [line["path"] for line in told] == [
        "p1/Alice/ranking/initial/try1",
        "p2/r1/-/order",
        "p2/r1/Bob/statement/try2",
    ]
    assert (told[2]["user_prompt"], told[2]["system_prompt"]) == (None, None)
    told_why = problem(await ada.http.get(f"{run.path}/export"), 409, "result_not_ready")
    assert "running" in told_why["detail"]


async def test_a_run_is_exported_as_one_file(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await finished(state, ada)
    head, *steps, end = lines(await ada.http.get(f"{run.path}/export"))
    shown = (await ada.http.get(run.path)).json()
    header = ArchiveHeader.model_validate(head)
    assert (header.experiment_id, header.name, header.status) == (shown["id"], shown["name"], "succeeded")
    assert (header.config, header.seed) == (shown["config"], shown["seed"])
    assert header.config_hash == shown["config_hash"]
    assert header.models.utility.model == shown["models"]["utility"]["model"]
    assert ArchiveEnd.model_validate(end).steps == len(steps)
    assert end["result"] == (await ada.http.get(f"{run.path}/result")).json()
    assert end["sha256"] == header.result_sha256 == "ab" * 32


async def test_the_yaml_is_in_the_file_as_it_was_sent(ada: User, state: GatewayState) -> None:
    await connect(ada)
    answer = await ada.http.post(
        "/api/experiments",
        content=YAML,
        headers={"Content-Type": "application/yaml"},
        params={"file": "a.yaml"},
    )
    assert answer.status_code == 202, answer.text
    told = answer.json()
    run = Run(state, ada, uuid.UUID(told["experiment_id"]), uuid.UUID(told["session_id"]))
    await run.claim()
    await run.result({"status": "crashed"})
    await run.end(Status.FAILED, "error", FAILED, FAILED)
    head, end = lines(await ada.http.get(f"{run.path}/export"))
    assert (head["config_source"], head["config_file"], head["status"]) == (YAML, "a.yaml", "failed")
    assert (end["steps"], end["result"]) == (0, {"status": "crashed"})
