"""Ending a job without running it: cancelled while nobody held it, or failed on every attempt."""

from __future__ import annotations

import logging
from typing import Any
from uuid import uuid4

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from shared.database.repositories import traces
from shared.jobs import experiment_end, spans
from shared.jobs.answers import stored_reply
from shared.jobs.event_data import (
    EventData,
    complete_event,
    encode,
    opening_event,
    outcome_events,
    retold_events,
)
from shared.jobs.event_log import EventLog
from shared.jobs.finish import Finished, finish, finish_post_response
from shared.jobs.job import Job
from shared.jobs.statements import statement
from shared.jobs.states import JobKind, Phase, PostResponse, Status
from shared.jobs.store import (
    Activated,
    AttemptLostError,
    FencedTransaction,
    JobStore,
    activate_next,
    lock_conversation,
)
from shared.jobs.transcript import Transcript
from shared.jobs.wakeups import Wakeups
from shared.metrics.jobs import DECIDED
from shared.schemas.events import EventId, EventType

log = logging.getLogger(__name__)

_END_WAITING = statement("end_waiting")


class Closer:
    """Ends jobs that nobody runs. Every end takes an attempt, so that no earlier one can still write; text
    that an earlier attempt streamed is read behind the closer's own fence and kept.

    Args:
        store: the jobs.
        log_: the event log.
        wakeups: to wake the next turn of the conversation.
        worker: who ends it, for the attempt's row.
        retention: how long the events stay, in seconds.
    """

    def __init__(
        self, store: JobStore, log_: EventLog, wakeups: Wakeups, worker: str, retention: int
    ) -> None:
        self._store = store
        self._log = log_
        self._wakeups = wakeups
        self._worker = worker
        self._retention = retention

    async def cancel(self, job: Job) -> Job | None:
        """End a marked job that no living attempt holds; ``None`` when it has moved on meanwhile.

        After its answer was stored, that ends stages 4 and 5 only.
        """
        if job.phase is Phase.WAITING:
            return await self._cancel_waiting(job)
        taken = await self._store.take(job, self._worker)
        if taken is None:
            return None
        with spans.closing(taken):
            return await self.end(taken, Status.CANCELLED)

    async def report(self, job: Job) -> None:
        """Have monitors told of a job that was ended without being run."""
        await self._wakeups.report(job.kind, job.id)

    async def end(self, job: Job, status: Status, error: dict[str, Any] | None = None) -> Job | None:
        """End ``job``, whose newest attempt is the caller's, as cancelled or failed."""
        earlier = await self._read(job)
        try:
            if job.answered:
                state = PostResponse.CANCELLED if status is Status.CANCELLED else PostResponse.FAILED
                rewrite = not earlier.done

                async def keep(transaction: FencedTransaction, *_: Any) -> dict[str, Any]:
                    return await traces.end(transaction.connection, job.id, state)

                finished = await finish_post_response(
                    self._store, job, state=state, next_seq=1 + (3 if rewrite else 0), keep=keep
                )
                await self._tell_answered(finished.job, rewrite)
            else:
                number: int | None = None

                async def record(transaction: FencedTransaction, *_: Any) -> dict[str, Any]:
                    nonlocal number
                    if job.kind is JobKind.EXPERIMENT:
                        number = await experiment_end.record(transaction.connection, job, status, error)
                    return {}

                finished = await finish(
                    self._store,
                    job,
                    status=status,
                    reply=earlier.reply({"attempt": job.attempt}),
                    message_id=uuid4(),
                    next_seq=1,
                    error=error,
                    keep=record,
                )
                await self._tell(finished.job, outcome_events(finished.job))
                if number is not None:
                    await experiment_end.tell(self._log.redis, self._log.namespace, job, number)
        except AttemptLostError:
            return None
        if not job.answered:
            DECIDED.labels(job.kind, finished.job.status).inc()
        await self.wake(finished)
        return finished.job

    async def wake(self, finished: Finished) -> None:
        """Wake workers for what may run because this job ended: the turn that came next, and a job of its
        owner whose own wake-up found that the owner had as many running as there may be.
        """
        await self._wake_activated(finished.activated)
        job = finished.job
        if not finished.of_many:
            return
        try:
            # After the commit, when the end is seen by every claim: a wake-up that is spent before finds its
            # job behind this look, one that comes later needs no help.
            if await self._store.has_ready(job.kind, job.owner_id):
                await self._wakeups.send(job.kind, None)
        except (SQLAlchemyError, OSError):
            log.warning("what was held back is woken by the sweep", extra={"session_id": str(job.id)})

    async def _wake_activated(self, activated: Activated | None) -> None:
        if activated is not None:
            await self._wakeups.send(activated.kind, activated.job_id)

    async def _cancel_waiting(self, job: Job) -> Job | None:
        async with self._store.engine.begin() as connection:
            # Nobody is to queue behind this turn unseen while it ends: nothing would activate them.
            await lock_conversation(connection, job.conversation_id)
            parameters = {"job_id": job.id, "worker": self._worker}
            row = (await connection.execute(_END_WAITING, parameters)).mappings().first()
            if row is None:
                return None
            ended = Job.from_row(row)
            activated = await activate_next(connection, ended.conversation_id)
        DECIDED.labels(ended.kind, ended.status).inc()
        with spans.closing(ended):
            await self._begin(ended)
            await self._tell(ended, outcome_events(ended))
            await self._wake_activated(activated)
        return ended

    async def _begin(self, job: Job) -> None:
        """Write the first entry of the closer's attempt, behind which no earlier attempt can write."""
        event, data = opening_event(job)
        try:
            await self._log.append(job.id, EventId(job.attempt, 0), True, [_encode(job, event, data)])
        except (RedisError, OSError):
            # The row decides; readers will be answered from it.
            log.warning("a job is ended without its events", extra={"session_id": str(job.id)})

    async def _read(self, job: Job) -> Transcript:
        await self._begin(job)
        try:
            return Transcript.of(await self._log.after(job.id, None))
        except (RedisError, OSError):
            return Transcript()

    async def _tell_answered(self, job: Job, rewrite: bool) -> None:
        if rewrite:
            answer = await stored_reply(self._store, job)
            await self._tell(job, retold_events(job, answer) + outcome_events(job))
        else:
            await self._tell(job, [complete_event(job)])

    async def _tell(self, job: Job, events: list[EventData]) -> None:
        entries = [_encode(job, event, data) for event, data in events]
        try:
            await self._log.append(job.id, EventId(job.attempt, 1), False, entries)
            await self._log.expire(job.id, self._retention)
        except (RedisError, OSError):
            log.warning("the end of a job could not be told", extra={"session_id": str(job.id)})


def _encode(job: Job, event: EventType, data: dict[str, Any]) -> tuple[bytes, bytes]:
    return event.value.encode(), encode(data, str(job.id))
