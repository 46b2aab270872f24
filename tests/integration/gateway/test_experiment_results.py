"""What came of a run, for its owner: the result as it was made, a transcript without secrets, a report."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import orjson
import pytest

from gateway.routes import experiment_results
from gateway.state import GatewayState
from shared.jobs.finish import finish
from shared.jobs.messages import Reply
from shared.jobs.states import JobKind, Status
from shared.schemas.events import EventId
from tests.integration.gateway.conftest import User, fields, problem
from tests.integration.gateway.experiment_runs import CONFIG, Run, connect, finished, start

FAILED = {"code": "provider_timeout", "message": "It took too long."}


async def test_the_result_is_given_as_it_was_made(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await finished(state, ada)
    answer = await ada.http.get(f"{run.path}/result")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-result-sha256"] == "ab" * 32
    assert answer.headers["x-experiment-status"] == "succeeded"
    # Byte for byte, in the order in which it was written.
    assert answer.text == json.dumps({"zebra": 1, "alpha": {"status": "complete"}}, indent=1) + "\n"
    assert (await ada.http.get(run.path)).json()["has_result"] is True


async def test_without_a_result_the_answer_says_why(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await start(state, ada)
    told = problem(await ada.http.get(f"{run.path}/result"), 409, "result_not_ready")
    assert "queued" in told["detail"]
    problem(await ada.http.get(f"{run.path}/report"), 409, "result_not_ready")
    await run.claim()
    await run.end(Status.FAILED, "error", FAILED, FAILED)
    told = problem(await ada.http.get(f"{run.path}/result"), 409, "result_not_ready")
    assert "provider_timeout" in told["detail"]
    assert "resume" in told["detail"]
    assert (await ada.http.get(run.path)).json()["has_result"] is False


async def test_the_result_of_a_run_that_failed_is_labelled(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await start(state, ada)
    await run.claim()
    await run.result({"status": "crashed"})
    await run.end(Status.FAILED, "error", FAILED, FAILED)
    answer = await ada.http.get(f"{run.path}/result")
    assert answer.headers["x-experiment-status"] == "failed"
    assert answer.json() == {"status": "crashed"}


async def lines(user: User, run: Run, **query: Any) -> list[dict[str, Any]]:
    answer = await user.http.get(f"{run.path}/transcript", params=query)
    assert answer.status_code == 200, answer.text
    return [orjson.loads(line) for line in answer.text.splitlines()]


async def discussing(state: GatewayState, user: User, config: dict[str, Any] | None = None) -> Run:
    """A run in phase 2: Bob was asked twice, and Alice has a ballot in the box."""
    run = await start(state, user, config)
    await run.claim()
    await run.stand(phase=1, round=0)
    await run.answer("p1/Alice/ranking/initial/try1", "secret of phase 1")
    await run.stand(phase=2, round=1)
    await run.step("p2/r1/-/order", kind="draw", value=["Bob", "Alice"], sends=0)
    await run.answer("p2/r1/Bob/reasoning", "secret thoughts")
    await run.answer("p2/r1/Bob/statement/try1", "secret try", unreadable="too_short", value=None)
    await run.answer("p2/r1/Bob/statement/try2", "said aloud")
    await run.step("p2/r1/Alice/statement/try1", user_prompt="secret question")
    await run.answer("p2/r1/Bob/memory/discussion", "secret memory")
    await run.answer("p2/r1/Alice/ballot/principle/try1", "secret ballot")
    return run


async def test_while_a_phase_goes_on_its_secrets_are_kept(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await discussing(state, ada)
    told = await lines(ada, run, include_memory_updates=True, include_instructions=True)
    assert [line["path"] for line in told] == [
        "p1/Alice/ranking/initial/try1",
        "p2/r1/-/order",
        "p2/r1/Bob/statement/try2",
    ]
    (statement,) = (line for line in told if line["path"].endswith("try2"))
    assert (statement["response"], statement["prompt"], statement["instructions"]) == (
        "said aloud",
        None,
        None,
    )
    as_text = await ada.http.get(f"{run.path}/transcript?format=markdown&include_memory_updates=true")
    assert "said aloud" in as_text.text
    assert "secret of phase 1" in as_text.text
    for secret in ("secret thoughts", "secret try", "secret question", "secret memory", "secret ballot"):
        assert secret not in as_text.text
    await run.end(Status.FAILED, "error", FAILED, FAILED)
    ended = await ada.http.get(f"{run.path}/transcript?format=markdown&include_memory_updates=true")
    for secret in ("secret thoughts", "secret try", "secret question", "secret memory", "secret ballot"):
        assert secret in ended.text
    assert ended.headers["content-type"] == "text/markdown; charset=utf-8"


async def test_nothing_of_phase_1_is_told_before_its_end(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await start(state, ada)
    await run.claim()
    await run.stand(phase=1)
    await run.answer("p1/Alice/ranking/initial/try1", "secret")
    assert await lines(ada, run) == []
    await run.stand(phase=2)
    assert [line["response"] for line in await lines(ada, run)] == ["secret"]


async def test_what_a_transcript_holds_is_configured(
    ada: User, state: GatewayState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment_results, "PAGE", 2)
    await connect(ada)
    configured = {"transcript_logging": {"include_memory_updates": True, "include_input_prompts": False}}
    run = await discussing(state, ada, {**CONFIG, **configured})
    await run.end(Status.SUCCEEDED, "experiment_finished")
    told = await lines(ada, run)
    assert len(told) == 8
    assert any("memory" in line["path"] for line in told)
    assert all("prompt" not in line for line in told)
    asked = await lines(ada, run, include_memory_updates=False, include_input_prompts=True)
    assert len(asked) == 7
    assert "question of" in asked[0]["prompt"]
    for query in ({"format": "xml"}, {"include_everything": True}):
        answer = await ada.http.get(f"{run.path}/transcript", params=query)
        assert fields(problem(answer, 422, "validation_error")) == set(query)


async def test_a_report_may_do_nothing(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await finished(state, ada)
    asked: dict[str, Any] = {}

    async def draw() -> None:
        """What the worker does."""
        while (job := await state.jobs.store.claim(JobKind.QUERY, "w")) is None:
            await asyncio.sleep(0.01)
        asked.update(job.payload)
        result = {"html": "<!doctype html><p>ä</p>"}
        await state.jobs.log.append(job.id, EventId(1, 0), True, [(b"session_start", b"{}")])
        await finish(
            state.jobs.store,
            job,
            status=Status.SUCCEEDED,
            reply=Reply(),
            message_id=uuid.uuid4(),
            next_seq=1,
            result=result,
        )
        done = orjson.dumps({"result": result})
        await state.jobs.log.append(job.id, EventId(1, 1), False, [(b"done", done)])

    answer, _ = await asyncio.gather(ada.http.get(f"{run.path}/report"), draw())
    assert asked == {"operation": "experiment_report", "experiment_id": str(run.id)}
    assert answer.status_code == 200, answer.text
    assert answer.text == "<!doctype html><p>ä</p>"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = {part.split()[0] for part in answer.headers["content-security-policy"].split("; ")}
    assert {"default-src", "sandbox", "form-action", "frame-ancestors", "base-uri"} <= policy
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "script-src" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
