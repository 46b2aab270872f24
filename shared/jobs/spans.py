"""The spans of a job: all of them in the trace of the request that it was accepted by.

The span of an attempt has an id that follows from job and attempt. So the next attempt can point to it, and
whoever finds that its worker was lost can tell of it: what that worker had not sent died with it.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import tracing
from shared.database import direct
from shared.jobs.job import Job
from shared.tracing import TraceParent

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

_ATTEMPT = text(
    "SELECT started_at, finished_at, outcome FROM attempts WHERE job_id = :job_id AND attempt = :attempt"
)


def accepting(kind: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """For a coroutine function that accepts a job of ``kind``: the span under which its attempts will be."""

    def of(accept: Callable[P, R]) -> Callable[P, R]:
        @wraps(accept)
        def accepted(*args: P.args, **kwargs: P.kwargs) -> Any:
            return _accept(kind, accept, *args, **kwargs) if tracing.on() else accept(*args, **kwargs)

        return accepted

    return of


async def _accept(kind: str, accept: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Any:
    with tracing.span(f"accept {kind}", {"parley.job.kind": kind}, kind="producer"):
        return await accept(*args, **kwargs)


def place_of_job() -> str | None:
    """The place of the job that is accepted now, for its row; what it is, the span is told with it."""
    place = tracing.current().parent
    return None if place is None else str(place)


def accepted(job: Job, *, joined: bool = False) -> None:
    """Tell the span that the caller is in which job was accepted."""
    if tracing.on():
        tracing.current().set({**_named(job), "parley.job.phase": job.phase.value, "parley.joined": joined})


def attempt(job: Job) -> tracing.Span:
    """The span of the newest attempt at ``job``, which was claimed just now; to be entered."""
    if not tracing.on():
        return tracing.NOTHING
    earlier = [_place(job, job.attempt - 1)] if job.attempt > 1 else []
    if job.attempt == 1 and job.ready_at is not None:
        _waited(job, job.ready_at)
    return tracing.span(
        f"attempt {job.kind.value}",
        {**_named(job), "parley.attempt": job.attempt, "parley.operation": job.payload.get("operation")},
        kind="consumer",
        links=earlier,
        span_id=span_id(job.id, job.attempt),
        **_below(job),
    )


def ended(span: tracing.Span, outcome: str) -> None:
    """Tell the span of an attempt how that ended."""
    span.set({"parley.outcome": outcome})
    if outcome == "fenced":
        # Whoever took the job away has told of it, or will.
        span.discard()


async def waited_again(engine: AsyncEngine, job: Job) -> None:
    """Tell how long a job waited for another attempt than its first."""
    if not tracing.on() or job.attempt == 1 or job.ready_at is None:
        return
    now = time.time()
    row = await _read(engine, job.id, job.attempt - 1)
    if row is not None and row.finished_at is not None:
        # A job that is made claimable again keeps its place in the queue.
        _waited(job, max(job.ready_at, row.finished_at), now)


async def lost(engine: AsyncEngine, job: Job, number: int) -> None:
    """Tell of attempt ``number``, whose worker was lost; called by the one process that found so."""
    if not tracing.on():
        return
    row = await _read(engine, job.id, number)
    if row is None or (row.finished_at is not None and row.outcome != "lost"):
        return
    span = tracing.span(
        f"attempt {job.kind.value}",
        {**_named(job), "parley.attempt": number, "parley.outcome": "lost"},
        kind="consumer",
        links=[_place(job, number - 1)] if number > 1 else [],
        began=row.started_at.timestamp(),
        span_id=span_id(job.id, number),
        **_below(job),
    )
    span.fail("worker_lost")
    span.end(None if row.finished_at is None else _not_before(row.started_at, row.finished_at))


def closing(job: Job) -> tracing.Span:
    """The span of an attempt that was taken to cancel ``job`` without running it; to be entered."""
    if not tracing.on():
        return tracing.NOTHING
    return tracing.span(
        f"close {job.kind.value}",
        {**_named(job), "parley.attempt": job.attempt, "parley.outcome": "cancelled"},
        links=[_place(job, job.attempt - 1)] if job.attempt > 1 else [],
        span_id=span_id(job.id, job.attempt),
        **_below(job),
    )


def span_id(job_id: UUID, number: int) -> int:
    """The id of the span of an attempt."""
    digest = hashlib.blake2b(b"%b:%d" % (job_id.bytes, number), digest_size=8).digest()
    return int.from_bytes(digest) or 1


def _waited(job: Job, since: datetime, until: float | None = None) -> None:
    span = tracing.span(
        f"queue {job.kind.value}",
        {**_named(job), "parley.attempt": job.attempt},
        began=since.timestamp(),
        **_below(job),
    )
    # Postgres has a clock of its own.
    span.end(max(until or time.time(), since.timestamp()))


def _below(job: Job) -> dict[str, Any]:
    """Where the spans of ``job`` belong: a gateway that does not trace leaves them a trace of their own."""
    parent = TraceParent.parse(job.traceparent)
    return {"trace_id": job.id.int} if parent is None else {"parent": parent}


def _place(job: Job, number: int) -> TraceParent:
    parent = TraceParent.parse(job.traceparent)
    trace_id, sampled = (job.id.int, True) if parent is None else (parent.trace_id, parent.sampled)
    return TraceParent(trace_id, span_id(job.id, number), sampled)


def _named(job: Job) -> dict[str, tracing.Value | None]:
    return {
        "parley.job.id": str(job.id),
        "parley.job.kind": job.kind.value,
        "parley.owner.id": str(job.owner_id),
        "parley.conversation.id": None if job.conversation_id is None else str(job.conversation_id),
    }


def _not_before(began: datetime, ended: datetime) -> float:
    return max(began, ended).timestamp()


async def _read(engine: AsyncEngine, job_id: UUID, number: int) -> Any | None:
    with suppress(SQLAlchemyError, OSError):
        rows = await direct.execute(engine, _ATTEMPT, {"job_id": job_id, "attempt": number})
        return rows.first()
    return None
