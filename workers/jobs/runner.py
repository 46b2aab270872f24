"""Claim, run, finish: the life of an attempt in this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from shared import tracing
from shared.jobs import spans
from shared.jobs.answers import stored_reply
from shared.jobs.closing import Closer
from shared.jobs.event_data import (
    EXHAUSTED,
    EventData,
    complete_event,
    opening_event,
    outcome_events,
    retold_events,
)
from shared.jobs.event_log import EventLog
from shared.jobs.finish import Finished, finish, finish_post_response
from shared.jobs.job import Job
from shared.jobs.leases import Leases
from shared.jobs.states import JobKind, Outcome, PostResponse, Status
from shared.jobs.store import AttemptLostError, FencedTransaction, JobStore
from shared.jobs.transcript import Transcript
from shared.jobs.wakeups import Wakeups
from shared.jobs.writer import EventWriter
from shared.logging import log_context
from shared.metrics.jobs import ATTEMPTS, DECIDED, WAIT
from shared.metrics.limits import hit
from shared.schemas.events import EventId, EventType
from shared.settings import Settings
from workers.jobs.commit import commit
from workers.jobs.handler import Handler, Work
from workers.jobs.running import DrainedError, RunningAttempt, StopReason
from workers.jobs.task_events import JobTasks

log = logging.getLogger(__name__)

#: Seconds that the last events of a job may take to reach Redis; after that, Postgres answers readers.
LAST_EVENTS = 5.0

_STAGES_CAME_TO = {
    Status.SUCCEEDED: PostResponse.DONE,
    Status.FAILED: PostResponse.FAILED,
    Status.CANCELLED: PostResponse.CANCELLED,
}


class JobRunner:
    """Runs the jobs of one worker process.

    ``running`` holds every attempt of the process by its lease, for whoever renews leases and hears cancels.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: JobStore,
        log_: EventLog,
        writer: EventWriter,
        leases: Leases,
        wakeups: Wakeups,
        closer: Closer,
        handlers: Mapping[JobKind, Handler],
        worker: str,
        tasks: JobTasks | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._log = log_
        self._writer = writer
        self._leases = leases
        self._wakeups = wakeups
        self._closer = closer
        self._handlers = handlers
        self._worker = worker
        self._tasks = tasks or JobTasks()
        self.running: dict[str, RunningAttempt] = {}
        self.draining = False
        self._background: set[asyncio.Task[Any]] = set()
        self._drain_task: asyncio.Task[None] | None = None
        self._no_attempts = asyncio.Event()
        self._no_attempts.set()

    async def run_next(self, kind: JobKind) -> str:
        """Claim a runnable job of ``kind`` and run it; returns what was done, for the task's result."""
        if self.draining:
            # The wake-up was taken from the broker: it is given back, for a worker that stays.
            await self._wakeups.send(kind, None)
            return "draining: nothing was claimed"
        asked_at = asyncio.get_running_loop().time()
        job = await self._store.claim(kind, self._worker, self._handlers[kind].along)
        if job is None:
            return "nothing to do"
        if self.draining:
            # It was claimed while the worker was told to stop.
            with spans.attempt(job) as span:
                await self._hand_over(job)
                spans.ended(span, "handed over")
            return f"{job.lease} handed over"
        if (waited := job.waited) is not None:
            WAIT.labels(kind).observe(waited)
        with (
            log_context(session_id=job.id, attempt=job.attempt, owner=job.owner_id),
            spans.attempt(job) as span,
        ):
            if span.recording:
                self.spawn(spans.waited_again(self._store.engine, job))
            outcome = await self.run(job, asked_at)
            spans.ended(span, outcome)
            ATTEMPTS.labels(kind, outcome).inc()
            log.info("attempt ended", extra={"kind": kind, "outcome": outcome})
        return f"{job.lease} {outcome}"

    async def run(self, job: Job, claimed_at: float) -> str:
        """Run a job to its end that was claimed at ``claimed_at`` (loop time); returns how that was."""
        if job.failures >= self._settings.max_attempts:
            hit("attempts")
            tracing.current().fail(EXHAUSTED["code"])
            if (ended := await self._closer.end(job, Status.FAILED, EXHAUSTED)) is not None:
                self._tasks.report(ended)
            return "failed"
        attempt = RunningAttempt(
            job,
            self._writer.open(job),
            known_at=claimed_at,
            holds=self._store.holds,
            trust=self._settings.lease_ttl,
        )
        self.running[job.lease] = attempt
        self._no_attempts.clear()
        self.spawn(self._put_lease(job.lease))
        self._tasks.begun(job, attempt.began)
        try:
            return await self._run_or_leave(attempt)
        except Exception as error:
            # What Postgres refuses now it would refuse again: the next attempt does not wait for the lease.
            log.exception("an attempt broke")
            await self._give_up(job, error)
            return "broken"
        finally:
            del self.running[job.lease]
            if not self.running:
                self._no_attempts.set()
            self._handlers[job.kind].forget(attempt)
            if attempt.final is not None:
                self._tasks.ended(attempt.final, attempt.began)
            self.spawn(self._let_go(attempt))

    def drain(self) -> None:
        """Claim nothing more; what runs gets the grace period, then is handed over."""
        if not self.draining:
            self.draining = True
            self._drain_task = asyncio.get_running_loop().create_task(self._drain())

    def cancel(self, lease: str) -> None:
        """Somebody cancelled the job of ``lease``."""
        attempt = self.running.get(lease)
        if attempt is not None:
            attempt.stop(StopReason.CANCEL)

    async def idle(self) -> None:
        """Return when no job runs and nothing is left to be told."""
        while True:
            await self._no_attempts.wait()
            if not self._background:
                return
            await asyncio.wait(self._background)

    # One attempt ----------------------------------------------------------------------------------------

    async def _run_or_leave(self, attempt: RunningAttempt) -> str:
        try:
            return await self._run(attempt)
        except AttemptLostError:
            return "fenced"
        except DrainedError:
            await self._hand_over(attempt.job)
            return "handed over"

    async def _run(self, attempt: RunningAttempt) -> str:
        job = attempt.job
        attempt.emit(*opening_event(job))
        if job.answered:
            await self._tell_again(attempt)
            return await self._run_stages(attempt)
        if job.attempt > 1 and job.kind is not JobKind.EXPERIMENT:
            # An experiment goes on from its last step.
            attempt.emit(EventType.RESTART, {"attempt": job.attempt})
        answered = await self._answer(attempt)
        return answered.status.value if answered.ended else await self._run_stages(attempt)

    async def _answer(self, attempt: RunningAttempt) -> Job:
        """Do the work, commit what came of it, then tell."""
        handler = self._handlers[attempt.job.kind]
        settled = await attempt.settle(handler.work(attempt))
        work = settled.result or Work(handler.partial(attempt))
        error = None
        if settled.error is not None:
            tracing.current().fail(settled.error)
            error = {"code": settled.error.code, "message": settled.error.detail}
        await attempt.stream.flush(self._settings.flush_timeout)
        stages = settled.status is Status.SUCCEEDED and await handler.has_stages_left(attempt)
        message_id = uuid4()

        async def keep(transaction: FencedTransaction, status: Status, kept: UUID | None) -> dict[str, Any]:
            return await handler.keep(attempt, transaction, status, kept)

        async def write() -> Finished:
            return await finish(
                self._store,
                attempt.job,
                status=settled.status,
                reply=work.reply,
                message_id=message_id,
                next_seq=attempt.stream.next_seq,
                error=error,
                post_response=stages,
                result=work.result,
                keep=keep,
            )

        finished = await commit(self._store, attempt, write)
        DECIDED.labels(finished.job.kind, finished.job.status).inc()
        self._tell(attempt, finished, outcome_events(finished.job))
        return finished.job

    async def _tell_again(self, attempt: RunningAttempt) -> None:
        """The answer is stored: no provider is called for it. Tell it, if it was not."""
        job = attempt.job
        await attempt.stream.flush(self._settings.flush_timeout)
        try:
            entries = await self._log.after(job.id, None)
        except (RedisError, OSError):
            entries = []
        fence = EventId(job.attempt, 0)
        if not Transcript.of(entry for entry in entries if entry.id < fence).done:
            reply = await stored_reply(self._store, job)
            for event in retold_events(job, reply) + outcome_events(job):
                attempt.emit(*event)

    async def _run_stages(self, attempt: RunningAttempt) -> str:
        handler = self._handlers[attempt.job.kind]
        settled = await attempt.settle(handler.run_stages(attempt))
        if settled.error is not None:
            log.warning("a stage after the answer failed", exc_info=settled.error)
        state = _STAGES_CAME_TO[settled.status]
        await attempt.stream.flush(self._settings.flush_timeout)

        async def keep(transaction: FencedTransaction, *_: Any) -> dict[str, Any]:
            return await handler.keep_stages(attempt, transaction, state)

        async def write() -> Finished:
            return await finish_post_response(
                self._store, attempt.job, state=state, next_seq=attempt.stream.next_seq, keep=keep
            )

        finished = await commit(self._store, attempt, write)
        self._tell(attempt, finished, [complete_event(finished.job)])
        return finished.job.status.value

    def _tell(self, attempt: RunningAttempt, finished: Finished, events: list[EventData]) -> None:
        """Tell what was committed. Who waited for it is woken meanwhile: no slot waits for the broker."""
        for event in events:
            attempt.emit(*event)
        if finished.job.ended:
            attempt.final = finished.job
        self.spawn(self._closer.wake(finished))

    # Giving up ------------------------------------------------------------------------------------------

    async def _hand_over(self, job: Job) -> None:
        """Let another worker take the job; that is no failure of it."""
        await self._tasks.given_up(job, "handed over")
        released = await self._store.make_claimable(job.id, job.attempt, Outcome.DRAINED, counts=False)
        if released is None:
            # Whoever took it away tells of this attempt.
            tracing.current().discard()
        else:
            self.spawn(self._wakeups.send(released.kind, released.id))

    async def _give_up(self, job: Job, error: BaseException) -> None:
        """Something broke inside Parley: let the next attempt try, until there were too many."""
        tracing.current().fail(error)
        failure = {
            "code": "internal_error",
            "message": f"Attempt {job.attempt} broke: {type(error).__name__}.",
        }
        await self._tasks.given_up(job, failure["code"])
        released = None
        with suppress(SQLAlchemyError, OSError):
            # With Postgres away the lease runs out, and the reaper does the same.
            released = await self._store.make_claimable(job.id, job.attempt, Outcome.BROKEN, failure=failure)
        if released is None:
            tracing.current().discard()
        else:
            self.spawn(self._wakeups.send(released.kind, released.id))

    async def _drain(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_grace):
                await self._no_attempts.wait()
        for attempt in list(self.running.values()):
            attempt.stop(StopReason.DRAIN)

    # Leases ---------------------------------------------------------------------------------------------

    async def _put_lease(self, lease: str) -> None:
        try:
            await self._leases.hold([lease])
        except (RedisError, OSError):
            log.warning("a lease waits for Redis; the next renewal puts it")

    async def _let_go(self, attempt: RunningAttempt) -> None:
        """Write the last events, then give the lease back; the events go when they have been kept enough."""
        await self._writer.close(attempt.stream, LAST_EVENTS)
        with suppress(RedisError, OSError):
            await self._leases.release([attempt.job.lease])
            if attempt.ended:
                await self._log.expire(attempt.job.id, self._settings.event_retention)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something that no attempt waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
