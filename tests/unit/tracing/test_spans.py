"""Spans within one process: who stands below whom, how they end, and what is not told."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from shared import tracing
from shared.errors import ProviderRateLimitedError
from shared.jobs import spans
from shared.tracing import TraceParent
from tests.support.collector import Seen
from tests.unit.jobs.rows import make_job
from workers.chat.spans import stage_span

Told = Callable[[], list[Seen]]
CLIENT = TraceParent(0xABC, 0xDEF)


def names(spans: list[Seen]) -> list[str]:
    return [one.name for one in spans]


def by_name(spans: list[Seen]) -> dict[str, Seen]:
    return {one.name: one for one in spans}


# Off --------------------------------------------------------------------------------------------------------


def test_a_process_that_does_not_trace_makes_nothing() -> None:
    assert not tracing.on()
    with tracing.span("work", {"a": 1}, parent=CLIENT, span_id=1) as span:
        assert span is tracing.NOTHING
        assert tracing.current() is tracing.NOTHING
        span.set({"b": 2})
        span.rename("other")
        span.event("happened")
        span.fail("code")
        span.discard()
    span.end()
    assert (span.parent, span.trace_id, span.recording) == (None, None, False)


def test_a_turn_pays_nothing_for_the_possibility() -> None:
    job = make_job(attempt=1, ready_at=datetime.now(UTC), traceparent=str(CLIENT))

    def turn() -> None:
        with spans.attempt(job) as span:
            for _ in range(3):
                with stage_span(1), tracing.span("step", {"parley.stage": 1}):
                    tracing.current().fail("code")
            spans.place_of_job()
            spans.accepted(job)
            spans.ended(span, "succeeded")

    begun = time.thread_time()
    for _ in range(1000):
        turn()
    # About 2 microseconds, of the 13 milliseconds that a turn takes.
    assert (time.thread_time() - begun) / 1000 < 50e-6


def test_nothing_hides_no_error() -> None:
    with pytest.raises(ZeroDivisionError), tracing.span("work"):
        raise ZeroDivisionError


# Who stands where -------------------------------------------------------------------------------------------


async def test_what_is_begun_within_stands_below_also_in_other_tasks(told: Told) -> None:
    async def other() -> None:
        with tracing.span("in a task"):
            await asyncio.sleep(0)

    with tracing.span("outer", parent=CLIENT) as outer:
        assert tracing.current() is outer
        task = asyncio.create_task(other())
        with tracing.span("inner"):
            await task
        with tracing.span("next"):
            pass
    assert tracing.current() is tracing.NOTHING
    with tracing.span("behind"):
        pass
    found = by_name(told())
    top = found["outer"]
    assert (top.trace_id, top.parent_id) == (f"{CLIENT.trace_id:032x}", f"{CLIENT.span_id:016x}")
    assert {found[name].parent_id for name in ("inner", "next", "in a task")} == {top.span_id}
    assert {found[name].trace_id for name in ("inner", "next", "in a task")} == {top.trace_id}
    assert found["behind"].parent_id == ""
    assert found["behind"].trace_id != top.trace_id


async def test_a_generator_may_be_closed_elsewhere(told: Told) -> None:
    async def steps() -> AsyncIterator[int]:
        with tracing.span("steps"):
            yield 1
            yield 2

    with tracing.span("outer") as outer:
        generator = steps()
        assert await anext(generator) == 1
        await asyncio.create_task(generator.aclose(), context=contextvars.Context())  # type: ignore[attr-defined]
        with outer:
            assert tracing.current() is outer
    (cut, _) = told()
    assert (cut.name, cut.failed, cut.attributes) == ("steps", False, {"parley.cancelled": True})


def test_ids_and_times_may_be_given(told: Told) -> None:
    now = time.time()
    earlier = TraceParent(CLIENT.trace_id, 5)
    span = tracing.span("given", parent=CLIENT, span_id=7, links=[earlier], began=now - 2)
    span.end(now - 1)
    span.end()
    tracing.span("first", trace_id=9).end()
    tracing.span("random").end()
    found = by_name(told())
    given = found["given"]
    assert given.span_id == f"{7:016x}"
    assert given.ended - given.began == pytest.approx(1e9, abs=1e4)
    assert [(one.trace_id, one.span_id) for one in given.links] == [(given.trace_id, f"{5:016x}")]
    assert (found["first"].trace_id, found["first"].parent_id) == (f"{9:032x}", "")
    assert found["first"].span_id != given.span_id
    assert found["random"].trace_id not in (given.trace_id, f"{9:032x}")


def test_what_is_not_recorded_above_is_not_recorded_below(told: Told) -> None:
    with tracing.span("outer", parent=TraceParent(1, 2, sampled=False)) as outer:
        assert not outer.recording
        assert outer.parent is not None
        assert not outer.parent.sampled
        assert outer.parent.trace_id == 1
        with tracing.span("inner"):
            pass
    assert told() == []


# How they end -----------------------------------------------------------------------------------------------


def test_attributes_events_and_names(told: Told) -> None:
    with tracing.span("work", {"a": 1, "none": None, "yes": True}, kind="client") as span:
        span.set({"b": "text", "c": 0.5, "d": None})
        span.event("retry", {"try": 1, "none": None})
        span.rename("better")
    (seen,) = told()
    assert (seen.name, seen.kind, seen.service) == ("better", "client", "parley-test")
    assert seen.attributes == {"a": 1, "yes": True, "b": "text", "c": 0.5}
    assert seen.events == {"retry": {"try": 1}}


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ProviderRateLimitedError("sk-secret says no"), ProviderRateLimitedError.code, None),
        (ValueError("what the user said"), "ValueError", "ValueError"),
        (KeyError("sk-secret"), "KeyError", "KeyError"),
    ],
)
def test_of_an_error_the_type_alone_is_told(
    told: Told, error: Exception, code: str, message: str | None
) -> None:
    with pytest.raises(type(error)), tracing.span("work"):
        raise error
    (seen,) = told()
    assert (seen.failed, seen.attributes) == (True, {"error.type": code})
    assert seen.message == (message or ProviderRateLimitedError.title)
    assert seen.events == {}


def test_a_code_is_told_as_it_is(told: Told) -> None:
    with tracing.span("work") as span:
        span.fail("worker_lost")
    (seen,) = told()
    assert (seen.failed, seen.attributes) == (True, {"error.type": "worker_lost"})


async def test_being_cancelled_is_no_failure(told: Told) -> None:
    async def work() -> None:
        with tracing.span("work"):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (seen,) = told()
    assert (seen.failed, seen.attributes) == (False, {"parley.cancelled": True})


def test_what_is_discarded_is_not_told_but_what_is_below_it(told: Told) -> None:
    with tracing.span("outer") as outer:
        with tracing.span("inner"):
            pass
        outer.discard()
    assert names(told()) == ["inner"]


def test_after_the_stop_nothing_is_made(told: Told) -> None:
    with tracing.span("work") as span:
        told()
        assert tracing.current() is tracing.NOTHING
        assert tracing.span("late") is tracing.NOTHING
    span.set({"a": 1})
