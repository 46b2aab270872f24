"""The events of a run: complete however late, each once, and live as they are committed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest

from gateway.experiments import following
from gateway.state import GatewayState
from gateway.streaming.hub import Inbox
from shared.jobs.closing import Closer
from shared.jobs.event_log import Entry
from shared.jobs.experiment_channel import channel as experiment_channel
from shared.jobs.states import Outcome, Status
from tests.integration.gateway.conftest import User, fields, problem
from tests.integration.gateway.experiment_runs import Run, connect, finished, start

_FRAME = re.compile(r"(?:id: (?P<id>\S+)\n)?event: (?P<event>\S+)\ndata: (?P<data>.*)")


def frames(answer: httpx.Response) -> list[tuple[str | None, str, dict[str, Any]]]:
    """The events of an answer: (id, type, data)."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in answer.text.split("\n\n"):
        if block and not block.startswith(":"):
            match = _FRAME.fullmatch(block)
            assert match is not None, block
            found.append((match["id"], match["event"], orjson.loads(match["data"])))
    return found


@asynccontextmanager
async def followed(run: Run, number: int = 0) -> AsyncIterator[AsyncIterator[list[Entry]]]:
    """The events of a run as a stream relays them, without the transport that keeps them to its end."""
    state, job = run.state, await run.state.jobs.store.get(run.job_id)
    assert job is not None
    async with state.jobs.hub.listen(experiment_channel(state.settings.namespace, run.id)) as inbox:
        yield told(state, run, job, inbox, number)


async def told(
    state: GatewayState, run: Run, job: Any, inbox: Inbox, number: int
) -> AsyncIterator[list[Entry]]:
    async for batch in following.follow(state, run.id, job, inbox, number):
        if batch:
            yield batch


async def test_a_finished_run_tells_all_of_its_events(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await finished(state, ada)
    answer = await ada.http.get(f"{run.path}/events")
    ids = {"experiment_id": str(run.id), "session_id": str(run.job_id)}
    assert frames(answer) == [
        ("1-1", "experiment_started", {"agents": ["Alice", "Bob"], **ids}),
        ("1-2", "phase", {"phase": 1, **ids}),
        ("1-3", "experiment_finished", {"decided_by": "consensus", **ids}),
    ]
    assert answer.headers["x-session-id"] == str(run.job_id)
    by_query = await ada.http.get(f"{run.path}/events?starting_after=1-1")
    by_header = await ada.http.get(f"{run.path}/events", headers={"Last-Event-ID": "1-1"})
    for later in (by_query, by_header):
        assert [id_ for id_, *_ in frames(later)] == ["1-2", "1-3"]
    had_all = await ada.http.get(f"{run.path}/events", headers={"Last-Event-ID": "1-3"})
    assert had_all.status_code == 204
    # The same under the address of any other job.
    assert frames(await ada.http.get(f"/api/chat/events/{run.job_id}")) == frames(answer)


@pytest.mark.parametrize("given", ["1-4", "1-0", "2-1", "x", "1", "-1-1", ""])
async def test_an_id_that_no_event_has(ada: User, state: GatewayState, given: str) -> None:
    await connect(ada)
    run = await finished(state, ada)
    answer = await ada.http.get(f"{run.path}/events", headers={"Last-Event-ID": given})
    problem(answer, 400, "invalid_event_id")


async def test_a_run_is_followed_live(
    ada: User, state: GatewayState, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only what is told over the channel can come in time.
    monkeypatch.setattr(following, "LOOK_EVERY", 3600.0)
    await connect(ada)
    run = await start(state, ada)
    async with followed(run) as events, asyncio.timeout(30):
        waiting = asyncio.ensure_future(anext(events))
        channel = experiment_channel(state.settings.namespace, run.id)
        assert await state.jobs.hub.heard(channel, 10)
        # What was committed before the subscription stood is there without being told.
        await run.claim()
        await run.tell(("experiment_started", {"n": 1}))
        assert [entry.type for entry in await waiting] == ["experiment_started"]
        for number in range(2, 6):
            await run.tell(("statement", {"n": number}))
            (entry,) = await anext(events)
            assert (str(entry.id), entry.payload()["n"]) == (f"1-{number}", number)
        await run.end(Status.SUCCEEDED, "experiment_finished")
        await state.redis.publish(channel, run.told)
        assert [entry.type for entry in await anext(events)] == ["experiment_finished"]
        with pytest.raises(StopAsyncIteration):
            await anext(events)


async def test_events_that_are_not_told_are_looked_for(
    ada: User, state: GatewayState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOOK_EVERY", 0.05)
    await connect(ada)
    run = await start(state, ada)
    await run.claim()
    async with followed(run) as events, asyncio.timeout(30):
        for number in range(1, 4):
            await run.tell(("statement", {"n": number}), publish=False)
            (entry,) = await anext(events)
            assert entry.payload()["n"] == number
        await run.end(Status.SUCCEEDED, "experiment_finished")
        assert [[entry.type for entry in batch] async for batch in events] == [["experiment_finished"]]


async def test_many_events_come_in_order_and_once(
    ada: User, state: GatewayState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "BATCH", 7)
    await connect(ada)
    run = await start(state, ada)
    await run.claim()
    await run.tell(*(("statement", {"n": number}) for number in range(1, 21)))
    await run.end(Status.SUCCEEDED, "experiment_finished")
    answer = await ada.http.get(f"{run.path}/events?starting_after=1-3")
    assert [id_ for id_, *_ in frames(answer)] == [f"1-{number}" for number in range(4, 22)]


async def test_a_takeover_goes_on_without_a_restart(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await start(state, ada)
    await run.claim()
    await run.tell(("experiment_started", {}))
    assert run.job is not None
    await state.jobs.store.make_claimable(run.job_id, 1, Outcome.LOST)
    await run.claim()
    await run.tell(("resumed", {"attempt": 2}))
    await run.end(Status.SUCCEEDED, "experiment_finished")
    assert [(id_, type_) for id_, type_, _ in frames(await ada.http.get(f"{run.path}/events"))] == [
        ("1-1", "experiment_started"),
        ("2-2", "resumed"),
        ("2-3", "experiment_finished"),
    ]


async def test_a_resumed_run_goes_on_behind_its_end(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await start(state, ada)
    await run.claim()
    await run.tell(("experiment_started", {}))
    error = {"code": "provider_timeout", "message": "It took too long."}
    await run.end(Status.FAILED, "error", error, error)
    path = f"{run.path}/events"
    assert frames(await ada.http.get(path))[-1][:2] == ("1-2", "error")
    assert (await ada.http.get(path, headers={"Last-Event-ID": "1-2"})).status_code == 204
    assert (await ada.http.post(f"{run.path}/resume")).status_code == 202
    async with followed(run, 2) as events, asyncio.timeout(30):
        waiting = asyncio.ensure_future(anext(events))
        await run.claim()
        await run.tell(("resumed", {"attempt": 2}))
        assert [str(entry.id) for entry in await waiting] == ["2-3"]
    await run.end(Status.SUCCEEDED, "experiment_finished")
    later = frames(await ada.http.get(path, headers={"Last-Event-ID": "1-2"}))
    assert [(id_, type_) for id_, type_, _ in later] == [("2-3", "resumed"), ("2-4", "experiment_finished")]


async def test_a_run_that_is_cancelled_while_it_waits_tells_its_end(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await start(state, ada)
    first = await ada.http.post(f"{run.path}/cancel")
    assert (first.json()["cancelled"], first.json()["status"]) == (True, "cancelled")
    again = await ada.http.post(f"{run.path}/cancel")
    assert again.json() == first.json()
    ids = {"experiment_id": str(run.id), "session_id": str(run.job_id)}
    assert frames(await ada.http.get(f"{run.path}/events")) == [("1-1", "cancelled", ids)]
    problem(await ada.http.get(f"{run.path}/result"), 409, "result_not_ready")
    # Cancelled again after it was resumed, the end is told again, behind the first.
    assert (await ada.http.post(f"{run.path}/resume")).status_code == 202
    await ada.http.post(f"{run.path}/cancel")
    assert [id_ for id_, *_ in frames(await ada.http.get(f"{run.path}/events"))] == ["1-1", "2-2"]


async def test_a_run_that_nobody_could_run_tells_its_end(ada: User, state: GatewayState) -> None:
    await connect(ada)
    run = await start(state, ada)
    await run.claim()
    await run.tell(("experiment_started", {}))
    assert run.job is not None
    jobs = state.jobs
    closer = Closer(jobs.store, jobs.log, jobs.wakeups, "the reaper", 60)
    async with followed(run, 1) as events, asyncio.timeout(30):
        waiting = asyncio.ensure_future(anext(events))
        taken = await jobs.store.take(run.job, "the reaper")
        assert taken is not None
        await closer.end(taken, Status.FAILED, None)
        (entry,) = await waiting
    assert (str(entry.id), entry.type, entry.payload()["code"]) == ("2-2", "error", "attempts_exhausted")
    assert (await ada.http.get(run.path)).json()["status"] == "failed"


async def test_a_run_that_waits_is_told_its_place(ada: User, state: GatewayState) -> None:
    await connect(ada)
    await start(state, ada)
    run = await start(state, ada)
    job = await state.jobs.store.get(run.job_id)
    assert job is not None
    stream = await following.event_stream(state, run.id, job, None)
    assert stream is not None
    sent: list[bytes] = []
    began = asyncio.Event()

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))
        if message.get("body"):
            began.set()

    async def receive() -> Any:
        await began.wait()
        return {"type": "http.disconnect"}

    await stream({"type": "http"}, receive, send)
    assert sent[1].startswith(b'event: queued\ndata: {"position":1,')
    # The run does not mind.
    assert (await ada.http.get(run.path)).json()["status"] == "queued"


async def test_an_experiment_that_cannot_be_followed_is_named(ada: User) -> None:
    told = problem(await ada.http.get("/api/experiments/x/events"), 422, "validation_error")
    assert fields(told) == {"experiment_id"}
