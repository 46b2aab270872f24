"""Turns that change hands stay in one trace: each attempt is a span, and points to the one before."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.integration.chat.talk import Talk, talking
from tests.integration.experiments.lab import config, connected, working
from tests.integration.tracing.tree import Trace, trace, traceparent
from tests.support.collector import Collector, Seen
from tests.support.servers import running_redis
from tests.support.stack import Process, Stack, running_stack

#: Whole stacks come and go: a command of its own runs these tests.
pytestmark = pytest.mark.slow

SEND = "POST /api/chat/send"
#: Long enough to be interrupted; the attempt that comes after says it all.
LONG = "[[fake tokens=150 tps=25]]"


@pytest.fixture
def own_stack(postgres_url: str, collector: Collector) -> Iterator[Stack]:
    """A stack whose workers may be killed, and whose leases end soon."""
    with (
        running_redis() as redis_url,
        running_stack(
            database_url=postgres_url,
            redis_url=redis_url,
            workers=2,
            lease_ttl=0.6,
            sweep_interval=0.5,
            drain_grace=0.2,
            tracing="otlp",
            otlp_endpoint=collector.url,
            tracing_providers=True,
        ) as stack,
    ):
        yield stack


@pytest.fixture
async def talk(own_stack: Stack) -> AsyncIterator[Talk]:
    user = own_stack.user()
    user.connect()
    async with talking(user) as made:
        yield made


async def begin(talk: Talk, collector: Collector, given: str) -> tuple[str, Process]:
    """A turn whose first stage was told and whose answer has begun: its session, and who runs it."""
    await talk.module("first", "word = 'one'", "${word}")
    body = {"message": LONG, **await talk.persona("@first")}
    headers = {"traceparent": given, "Prefer": "respond-async"}
    answer = await talk.http.post("/api/chat/send", json=body, headers=headers)
    session: str = answer.json()["session_id"]
    await talk.until(session, "chunk")
    await trace(collector, given, "queue chat", "stage 1")
    job = (await talk.http.get(f"/api/jobs/{session}")).json()
    return session, holder(talk.stack, job)


def holder(stack: Stack, job: dict[str, Any]) -> Process:
    """Who runs a job's first attempt."""
    (attempt,) = job["attempts"]
    (worker,) = [one for one in stack.workers if attempt["worker"].endswith(f":{one.pid}")]
    return worker


def attempts(found: Trace) -> list[tuple[int, Any]]:
    return [
        (one.attributes["parley.attempt"], one.attributes["parley.outcome"])
        for one in found.named("attempt chat")
    ]


def check_second(found: Trace) -> tuple[Seen, Seen]:
    """Two attempts, of which the second came of the first, below the same acceptance."""
    first, second = found.named("attempt chat")
    accept = found.only("accept chat")
    assert first.parent_id == second.parent_id == accept.span_id
    assert not first.links
    assert [(one.trace_id, one.span_id) for one in second.links] == [(first.trace_id, first.span_id)]
    assert first.began < second.began
    assert [one.attributes["parley.attempt"] for one in found.named("queue chat")] == [1, 2]
    # What was told before is below the attempt that it belongs to, whoever told of that.
    assert [one.parent_id for one in found.named("stage 1")] == [first.span_id, second.span_id]
    return first, second


async def test_a_killed_workers_attempt_is_told_by_who_took_it_away(talk: Talk, collector: Collector) -> None:
    given = traceparent()
    session, worker = await begin(talk, collector, given)
    worker.kill()
    await talk.ended(session)
    found = await trace(collector, given, "attempt chat", "attempt chat", "queue chat", "queue chat", SEND)
    assert attempts(found) == [(1, "lost"), (2, "succeeded")]
    first, second = check_second(found)
    assert (first.failed, first.attributes["error.type"]) == (True, "worker_lost")
    assert first.ended <= second.began
    assert not second.failed
    # The call of the first attempt died with its worker.
    assert [one.parent_id for one in found.named("stage 3")] == [second.span_id]


async def test_a_worker_that_stood_still_does_not_tell_of_its_attempt_again(
    talk: Talk, collector: Collector
) -> None:
    given = traceparent()
    session, worker = await begin(talk, collector, given)
    worker.send(signal.SIGSTOP)
    try:
        await talk.ended(session)
    finally:
        worker.send(signal.SIGCONT)
    # It comes to itself and ends what it was at.
    await trace(collector, given, "stage 3", "stage 3", SEND)
    await asyncio.to_thread(worker.end)
    found = await trace(collector, given, "attempt chat", "attempt chat", "queue chat", "queue chat")
    assert attempts(found) == [(1, "lost"), (2, "succeeded")]
    first, second = check_second(found)
    assert {one.parent_id for one in found.named("stage 3")} == {first.span_id, second.span_id}


async def test_a_worker_that_stops_tells_that_it_handed_over(talk: Talk, collector: Collector) -> None:
    given = traceparent()
    session, worker = await begin(talk, collector, given)
    await asyncio.to_thread(worker.end)
    await talk.ended(session)
    found = await trace(collector, given, "attempt chat", "attempt chat", "queue chat", "queue chat", SEND)
    assert attempts(found) == [(1, "handed over"), (2, "succeeded")]
    first, _ = check_second(found)
    assert not first.failed


async def test_providers_are_told_of_the_trace_when_a_setting_says_so(
    talk: Talk, collector: Collector
) -> None:
    given = traceparent()
    answer = await talk.http.post("/api/chat/send", json={"message": "Hi."}, headers={"traceparent": given})
    assert answer.is_success, answer.text
    found = await trace(collector, given, "provider call")
    (request,) = await talk.requests()
    assert request["headers"]["traceparent"] == found.only("provider call").traceparent


async def test_who_stops_sends_what_waits(talk: Talk, collector: Collector) -> None:
    given = traceparent()
    answer = await talk.http.post("/api/chat/send", json={"message": "Hi."}, headers={"traceparent": given})
    assert answer.is_success, answer.text
    for process in (*talk.stack.workers, *talk.stack.gateways):
        assert await asyncio.to_thread(process.end) == 0
    # Nothing is waited for.
    names = {one.name for one in collector.spans if one.trace_id == given.split("-")[1]}
    assert names == {SEND, "accept chat", "queue chat", "attempt chat", "stage 3", "provider call"}


async def test_a_run_that_loses_its_worker_goes_on_in_its_trace(
    own_stack: Stack, collector: Collector
) -> None:
    user = own_stack.user()
    given = traceparent()
    play = "agree,first=0.15"
    async with working(user, connected(user)) as lab:
        body = {"config": config(play, play)}
        answer = await lab.http.post("/api/experiments", json=body, headers={"traceparent": given})
        assert answer.status_code == 202, answer.text
        await trace(collector, given, "queue experiment", "provider call")
        job = (await lab.http.get(f"/api/jobs/{answer.json()['session_id']}")).json()
        holder(own_stack, job).kill()
        played = await lab.ended(f"/api/experiments/{answer.json()['experiment_id']}")
        assert played.shown["status"] == "succeeded", played.shown
        asked = len(await lab.requests())
    name = "attempt experiment"
    found = await trace(collector, given, name, name, "POST /api/experiments")
    first, second = found.named(name)
    assert [one.attributes["parley.outcome"] for one in (first, second)] == ["lost", "succeeded"]
    assert [one.span_id for one in second.links] == [first.span_id]
    steps = [one for one in found.spans if one.name.startswith("step ")]
    assert {one.parent_id for one in steps} == {first.span_id, second.span_id}
    # What was in flight when the worker died is asked again, and told so; what was not sent is not told.
    assert any(one.attributes["parley.step.sends"] == 2 for one in steps)
    assert len(steps) <= asked
