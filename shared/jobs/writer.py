"""One writer for all jobs of a process: it sends what waits, and while that is under way it collects."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from shared.jobs.event_log import EventLog, appended
from shared.jobs.job import Job
from shared.jobs.job_stream import Confirm, JobStream
from shared.schemas.events import EventId

log = logging.getLogger(__name__)

#: A confirmation by Postgres is trusted for this part of a lease's TTL.
_TRUSTED = 1 / 3


class EventWriter:
    """Writes the streams of all jobs of a process, self-clocked: no timer, one trip at a time.

    A trip carries what waits, at most ``trip_bytes``, taken from the jobs in turn; one script call a job.

    Args:
        log_: the event log; its Redis client must have a socket timeout and be used by nobody else.
        confirm: asks Postgres whether an attempt still holds its job.
        trip_bytes: most bytes a trip.
        pending_bytes: a job with this much waiting has no room.
        lease_ttl: how long a lease lives, in seconds.
    """

    def __init__(
        self,
        log_: EventLog,
        confirm: Confirm,
        *,
        trip_bytes: int,
        pending_bytes: int,
        lease_ttl: float,
    ) -> None:
        self._log = log_
        self._redis: Redis = log_.redis
        self._confirm = confirm
        self._trip_bytes = trip_bytes
        self._pending_bytes = pending_bytes
        self._trust = lease_ttl * _TRUSTED
        #: Streams with something to send, oldest first.
        self._waiting: dict[JobStream, None] = {}
        self._wakeup = asyncio.Event()
        self._sha: str | None = None
        self._confirmations: set[asyncio.Task[None]] = set()

    def open(self, job: Job) -> JobStream:
        """Begin to write for the attempt that has just claimed ``job``."""
        return JobStream(
            job,
            pending_limit=self._pending_bytes,
            wake=self._wake,
            now=asyncio.get_running_loop().time(),
        )

    async def close(self, stream: JobStream, timeout: float) -> None:
        """Stop writing for an attempt, after waiting at most ``timeout`` seconds for what is under way."""
        await stream.flush(timeout)
        stream.closed = True
        self._waiting.pop(stream, None)

    def _wake(self, stream: JobStream) -> None:
        if not stream.closed:
            self._waiting[stream] = None
            self._wakeup.set()

    async def run(self) -> None:
        """Write until cancelled. Errors of Redis cost time, never events."""
        pause = 0.0
        while True:
            await self._wakeup.wait()
            self._wakeup.clear()
            while True:
                try:
                    sent = await self.trip()
                except (RedisError, OSError) as error:
                    pause = min(max(pause * 2, 0.02), 1.0)
                    log.warning("events wait for Redis", extra={"error": type(error).__name__})
                    await asyncio.sleep(pause)
                    continue
                pause = 0.0
                if not sent:
                    break

    async def trip(self) -> bool:
        """One trip to Redis; whether anything was sent.

        Raises:
            RedisError: the trip failed, for all jobs or for one; what was not acknowledged still waits.
        """
        load = self._load()
        if not load:
            return False
        if self._sha is None:
            self._sha = await self._redis.script_load(self._log.append_script)
        pipeline = self._redis.pipeline(transaction=False)
        for stream, entries in load:
            first = EventId(stream.attempt, stream.acked)
            key, arguments = self._log.append_arguments(
                stream.job_id, first, self._may_create(stream), entries
            )
            # As `evalsha` would, without 30 µs of wrappers around it.
            pipeline.execute_command("EVALSHA", self._sha, 1, key, *arguments)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        failed: Exception | None = None
        for (stream, entries), answer in zip(load, answers, strict=True):
            if isinstance(answer, NoScriptError):
                # Redis was restarted or emptied: nothing of this call happened.
                self._sha = None
            elif isinstance(answer, Exception):
                # One job's trouble; what the others sent is there.
                failed = answer
            else:
                self._take_in(stream, len(entries), appended(answer))
        if failed is not None:
            raise failed
        return True

    def _load(self) -> list[tuple[JobStream, list[tuple[bytes, bytes]]]]:
        for drained in [stream for stream in self._waiting if stream.drained]:
            del self._waiting[drained]
        waiting = [stream for stream in self._waiting if not self._blocked(stream)]
        if not waiting:
            return []
        share = max(self._trip_bytes // len(waiting), 1)
        load = []
        left = self._trip_bytes
        for stream in waiting:
            entries = stream.batch(min(share, left))
            left -= sum(len(data) + 32 for _, data in entries)
            load.append((stream, entries))
            # To the end of the line, so that no job starves another.
            del self._waiting[stream]
            self._waiting[stream] = None
            if left <= 0:
                break
        return load

    def _blocked(self, stream: JobStream) -> bool:
        """Whether it waits for Postgres to confirm that it may begin a stream."""
        if stream.confirming:
            return True
        if stream.acked == 0 and not self._may_create(stream):
            self._ask(stream)
            return True
        return False

    def _may_create(self, stream: JobStream) -> bool:
        if stream.confirmed_at is None:
            return False
        return asyncio.get_running_loop().time() - stream.confirmed_at <= self._trust

    def _take_in(self, stream: JobStream, sent: int, answer: EventId | bool | None) -> None:
        if answer is True:
            stream.acknowledge(sent)
        elif isinstance(answer, EventId) and answer.attempt > stream.attempt:
            stream.fence()
        elif isinstance(answer, EventId) and answer.attempt == stream.attempt:
            stream.continue_from(answer.seq + 1)
        elif stream.acked:
            # Redis lost what it had: begin again, once Postgres says that this attempt still holds the job.
            stream.continue_from(0)
            stream.confirmed_at = None
        else:
            stream.confirmed_at = None

    def _ask(self, stream: JobStream) -> None:
        stream.confirming = True
        task = asyncio.get_running_loop().create_task(self._ask_postgres(stream))
        self._confirmations.add(task)
        task.add_done_callback(self._confirmations.discard)

    async def _ask_postgres(self, stream: JobStream) -> None:
        asked = asyncio.get_running_loop().time()
        try:
            if await self._confirm(stream.job_id, stream.attempt):
                stream.confirmed_at = asked
            else:
                stream.fence()
        except Exception:
            log.warning("Postgres did not say who holds the job", exc_info=True)
            await asyncio.sleep(0.2)
        finally:
            stream.confirming = False
            self._wakeup.set()
