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
from shared.errors import ParleyError
from shared.jobs import spans
from shared.jobs.answers import stored_reply
from shared.jobs.closing import Closer
from shared.jobs.event_data import EXHAUSTED, chunk_data, complete_data, done_data, final_event, opening_event
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
from workers.jobs.running import RunningAttempt, StopReason
from workers.jobs.task_events import JobTasks

log = logging.getLogger(__name__)

#: Seconds that the last events of a job may take to reach Redis; after that, Postgres answers readers.
LAST_EVENTS = 5.0


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
            return await self._run(attempt)
        except Exception as error:
            # What Postgres refuses now it would refuse again: the next attempt does not wait for the lease.
            log.exception("an attempt broke while it ended")
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

    async def _run(self, attempt: RunningAttempt) -> str:
        attempt.emit(*opening_event(attempt.job))
        if attempt.job.answered:
            return await self._go_on(attempt)
        if attempt.job.attempt > 1 and attempt.job.kind is not JobKind.EXPERIMENT:
            # An experiment goes on from its last step.
            attempt.emit(EventType.RESTART, {"attempt": attempt.job.attempt})
        handler = self._handlers[attempt.job.kind]
        work = asyncio.create_task(handler.work(attempt))
        attempt.begin(work)
        await asyncio.wait([work])
        if attempt.fenced:
            _retrieve(work)
            return "fenced"
        try:
            done = work.result()
        except asyncio.CancelledError as error:
            if attempt.stopped is StopReason.DRAIN:
                await self._hand_over(attempt.job)
                return "handed over"
            if attempt.stopped is None:
                # Nobody cancelled it: some library let a cancellation of its own slip.
                await self._give_up(attempt.job, error)
                return "broken"
            return await self._end(attempt, Status.CANCELLED, Work(handler.partial(attempt)))
        except AttemptLostError:
            return "fenced"
        except ParleyError as error:
            tracing.current().fail(error)
            problem = {"code": error.code, "message": error.detail}
            return await self._end(attempt, Status.FAILED, Work(handler.partial(attempt)), problem)
        except Exception as error:
            log.exception("an attempt broke")
            await self._give_up(attempt.job, error)
            return "broken"
        return await self._end(attempt, Status.SUCCEEDED, done)

    async def _end(
        self, attempt: RunningAttempt, status: Status, work: Work, error: dict[str, Any] | None = None
    ) -> str:
        """Commit, then tell."""
        handler = self._handlers[attempt.job.kind]
        await attempt.stream.flush(self._settings.flush_timeout)
        stages = status is Status.SUCCEEDED and await handler.has_stages_left(attempt)
        message_id = uuid4()

        async def keep(transaction: FencedTransaction, status: Status, kept: UUID | None) -> dict[str, Any]:
            return await handler.keep(attempt, transaction, status, kept)

        async def write() -> Finished:
            return await finish(
                self._store,
                attempt.job,
                status=status,
                reply=work.reply,
                message_id=message_id,
                next_seq=attempt.stream.next_seq,
                error=error,
                post_response=stages,
                result=work.result,
                keep=keep,
            )

        try:
            finished = await commit(self._store, attempt, write)
        except AttemptLostError:
            return "fenced"
        DECIDED.labels(finished.job.kind, finished.job.status).inc()
        await self._tell_end(attempt, finished)
        attempt.ended = finished.job.ended
        if attempt.ended:
            attempt.final = finished.job
            return finished.job.status.value
        return await self._run_stages(attempt)

    async def _tell_end(self, attempt: RunningAttempt, finished: Finished) -> None:
        job = finished.job
        if job.status is not Status.SUCCEEDED:
            attempt.emit(*final_event(finished))
        elif job.kind is not JobKind.CHAT:
            attempt.emit(EventType.DONE, {"result": (job.outcome or {}).get("result")})
        else:
            attempt.emit(EventType.DONE, done_data(finished))
            if job.ended:
                attempt.emit(EventType.POST_RESPONSE_COMPLETE, complete_data(job))
        await self._closer.wake(finished)

    async def _go_on(self, attempt: RunningAttempt) -> str:
        """The answer is stored: no provider is called for it. Tell it, if it was not, and go on behind it."""
        job = attempt.job
        await attempt.stream.flush(self._settings.flush_timeout)
        try:
            entries = await self._log.after(job.id, None)
        except (RedisError, OSError):
            entries = []
        fence = EventId(job.attempt, 0)
        if not Transcript.of(entry for entry in entries if entry.id < fence).done:
            reply = await stored_reply(self._store, job)
            attempt.emit(EventType.RESTART, {"attempt": job.attempt})
            attempt.emit(EventType.CHUNK, chunk_data(reply))
            attempt.emit(EventType.DONE, done_data(Finished(job, job.message_id, reply.details, None)))
        return await self._run_stages(attempt)

    async def _run_stages(self, attempt: RunningAttempt) -> str:
        handler = self._handlers[attempt.job.kind]
        stages = asyncio.create_task(handler.run_stages(attempt))
        attempt.begin(stages)
        await asyncio.wait([stages])
        state = PostResponse.DONE
        if attempt.fenced:
            _retrieve(stages)
            return "fenced"
        try:
            stages.result()
        except asyncio.CancelledError as error:
            if attempt.stopped is StopReason.DRAIN:
                await self._hand_over(attempt.job)
                return "handed over"
            if attempt.stopped is None:
                await self._give_up(attempt.job, error)
                return "broken"
            state = PostResponse.CANCELLED
        except AttemptLostError:
            return "fenced"
        except ParleyError:
            log.warning("a stage after the answer failed", exc_info=True)
            state = PostResponse.FAILED
        except Exception as error:
            log.exception("a stage after the answer broke")
            await self._give_up(attempt.job, error)
            return "broken"
        await attempt.stream.flush(self._settings.flush_timeout)

        async def keep(transaction: FencedTransaction, *_: Any) -> dict[str, Any]:
            return await handler.keep_stages(attempt, transaction, state)

        async def write() -> Finished:
            return await finish_post_response(
                self._store, attempt.job, state=state, next_seq=attempt.stream.next_seq, keep=keep
            )

        try:
            finished = await commit(self._store, attempt, write)
        except AttemptLostError:
            return "fenced"
        attempt.ended = True
        attempt.final = finished.job
        attempt.emit(EventType.POST_RESPONSE_COMPLETE, complete_data(finished.job))
        await self._closer.wake(finished)
        return finished.job.status.value

    # Giving up ------------------------------------------------------------------------------------------

    async def _hand_over(self, job: Job) -> None:
        """Let another worker take the job; that is no failure of it."""
        await self._tasks.given_up(job, "handed over")
        released = await self._store.make_claimable(job.id, job.attempt, Outcome.DRAINED, counts=False)
        if released is None:
            # Whoever took it away tells of this attempt.
            tracing.current().discard()
        else:
            await self._wakeups.send(released.kind, released.id)

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
            if released is not None:
                await self._wakeups.send(released.kind, released.id)
        if released is None:
            tracing.current().discard()

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


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Take note of how a task ended that nobody will ask."""
    if not task.cancelled():
        task.exception()
