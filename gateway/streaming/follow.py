"""Following one job: replay what the client lacks, then relay what comes, each event exactly once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from gateway.streaming.hub import Hub, Inbox
from shared.errors import SessionNotFoundError
from shared.jobs.answers import stored_reply
from shared.jobs.event_log import Entry, EventLog
from shared.jobs.job import Job
from shared.jobs.resume import Plan, Source, is_final, plan, rebuild
from shared.jobs.states import JobKind
from shared.jobs.store import JobStore
from shared.schemas.events import EventId, EventType

log = logging.getLogger(__name__)

#: A job whose row has ended gets this long (seconds) until its final event must be in its stream.
FINAL_EVENT_GRACE = 2.0
#: Seconds until Redis or Postgres is asked again after a failure.
AGAIN = 0.5


class Follower:
    """Follows jobs for the clients of one gateway process."""

    def __init__(self, store: JobStore, log_: EventLog, hub: Hub, silence: float) -> None:
        self._store = store
        self._log = log_
        self.hub = hub
        self._silence = silence

    async def follow(
        self, job: Job, inbox: Inbox, cursor: EventId | None = None
    ) -> AsyncIterator[list[Entry]]:
        """The events of a job after ``cursor``, in batches of what had come in; ends after the final event,
        or when the gateway shuts down.

        Args:
            job: the job as it was read, or accepted, after ``inbox`` began to listen.
            inbox: from :meth:`Hub.watch`.
            cursor: the last event that the client has.
        """
        fresh: Job | None = job
        seen_done = False
        ended_since: float | None = None
        while not inbox.closed:
            await self.hub.confirmed(job.id, self._silence)
            try:
                current = fresh or await self._read(job.id)
            except (SQLAlchemyError, OSError) as error:
                await self._postgres_is_away(error)
                continue
            fresh = None
            try:
                # A stream that this very request began is empty, and one that ends where the client is has
                # nothing for it: however long it is, it is not read.
                stream: list[Entry] = []
                if await self._has_all(current, cursor):
                    decided = Plan(Source.STREAM, cursor=cursor)
                else:
                    if current.attempt:
                        stream = await self._log.after(job.id, None)
                    decided = plan(cursor, current, stream)
            except (RedisError, OSError):
                if not current.ended:
                    await asyncio.sleep(AGAIN)
                    continue
                stream, decided = [], plan(cursor, current, [])
            if decided.source is Source.POSTGRES:
                now = asyncio.get_running_loop().time()
                ended_since = ended_since or now
                if _just_ended(current) and now - ended_since < FINAL_EVENT_GRACE:
                    await asyncio.sleep(0.2)
                    continue
                done = seen_done or _has_done(stream, cursor)
                try:
                    reply = await stored_reply(self._store, current)
                except (SQLAlchemyError, OSError) as error:
                    await self._postgres_is_away(error)
                    continue
                yield rebuild(cursor, current, reply, past_done=done)
                return
            if decided.entries:
                yield list(decided.entries)
                if is_final(decided.entries[-1], job.kind):
                    return
                seen_done = _still_done(seen_done, decided.entries)
            cursor = decided.cursor
            if not decided.entries:
                # Nothing new: a sign of life.
                yield []
            async for batch in self._live(inbox, cursor, job.kind):
                if batch and is_final(batch[-1], job.kind):
                    yield batch
                    return
                cursor = batch[-1].id
                seen_done = _still_done(seen_done, batch)
                yield batch

    async def _has_all(self, job: Job, cursor: EventId | None) -> bool:
        """Whether a client at ``cursor`` has all that there is of a job that goes on."""
        return cursor is not None and not job.ended and await self._log.last_id(job.id) == cursor

    async def _live(self, inbox: Inbox, cursor: EventId | None, kind: JobKind) -> AsyncIterator[list[Entry]]:
        """What comes in live, in order and without holes; ends when a replay is needed."""
        while not inbox.closed:
            entries = await inbox.take(self._silence)
            if entries is None:
                return
            batch: list[Entry] = []
            whole = True
            for entry in entries:
                if cursor is not None and entry.id <= cursor:
                    continue
                begins = cursor is None and entry.id == EventId(1, 0)
                if not begins and (cursor is None or entry.id != cursor.successor):
                    # A hole, or another attempt: what is missing lies in the stream.
                    whole = False
                    break
                cursor = entry.id
                batch.append(entry)
                if is_final(entry, kind):
                    break
            if batch:
                yield batch
            if not whole:
                return

    async def _postgres_is_away(self, error: Exception) -> None:
        """A client is not sent away over it: its stream waits, and goes on."""
        log.warning("a stream waits for Postgres", extra={"error": type(error).__name__})
        await asyncio.sleep(AGAIN)

    async def _read(self, job_id: UUID) -> Job:
        job = await self._store.get(job_id)
        if job is None:
            raise SessionNotFoundError("The session is gone.")
        return job


def _still_done(done: bool, entries: Sequence[Entry]) -> bool:
    """Whether ``done`` came after the last ``restart``, after these entries too."""
    for entry in entries:
        if entry.type == EventType.RESTART:
            done = False
        elif entry.type == EventType.DONE:
            done = True
    return done


def _just_ended(job: Job) -> bool:
    """Whether the final event may still be on its way."""
    return job.ended_at is not None and (datetime.now(UTC) - job.ended_at).total_seconds() < FINAL_EVENT_GRACE


def _has_done(stream: list[Entry], cursor: EventId | None) -> bool:
    return cursor is not None and any(entry.type == EventType.DONE and entry.id <= cursor for entry in stream)
