"""What one attempt has to tell: its events in order, and how many of them Redis has acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from shared.jobs.event_data import encode
from shared.jobs.job import Job
from shared.metrics.limits import hit
from shared.schemas.events import EventId, EventType


class JobStream:
    """The events of one attempt. All of them are kept until the job has ended, so that a Redis that lost its
    tail, or everything, is filled again.

    Events are numbered from 0 without holes: ``1-0`` is ``session_start``, ``<n>-0`` the fence of a later
    attempt.
    """

    def __init__(
        self, job: Job, *, pending_limit: int, wake: Callable[[JobStream], None], now: float
    ) -> None:
        self.job_id: UUID = job.id
        self.attempt = job.attempt
        self._session = str(job.id)
        self._pending_limit = pending_limit
        self._wake = wake
        self._entries: list[tuple[bytes, bytes]] = []
        self._acked = 0
        self._pending_bytes = 0
        self._progress = asyncio.Event()
        #: When Postgres last said that this attempt holds the job: its first entry may create the stream.
        self.confirmed_at: float | None = now
        self.confirming = False
        #: Another attempt holds the job: nothing more is written.
        self.fenced = False
        self.on_fenced: Callable[[], None] = lambda: None
        self.closed = False

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def next_seq(self) -> int:
        """The sequence number of the next event."""
        return len(self._entries)

    @property
    def acked(self) -> int:
        """How many events Redis has acknowledged."""
        return self._acked

    @property
    def drained(self) -> bool:
        """Whether nothing waits to be written."""
        return self.fenced or self._acked >= len(self._entries)

    def emit(self, event: EventType, data: dict[str, Any]) -> EventId:
        """Queue an event; it is on its way before the next thing the loop does."""
        encoded = encode(data, self._session)
        event_id = EventId(self.attempt, len(self._entries))
        self._entries.append((event.value.encode(), encoded))
        self._pending_bytes += len(encoded)
        self._wake(self)
        return event_id

    @property
    def full(self) -> bool:
        """Whether so much waits for Redis that nothing more should be read from the provider."""
        return self._pending_bytes >= self._pending_limit and not self.fenced

    async def room(self) -> None:
        """Return when it is not full."""
        if self.full:
            hit("pending_events")
        while self.full:
            self._progress.clear()
            await self._progress.wait()

    async def flush(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for Redis to acknowledge everything; whether it did."""
        try:
            async with asyncio.timeout(timeout):
                while not self.drained:
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            return False
        return not self.fenced

    # For the writer -----------------------------------------------------------------------------------

    def batch(self, limit: int) -> list[tuple[bytes, bytes]]:
        """The events to send next: at least one, at most about ``limit`` bytes."""
        taken: list[tuple[bytes, bytes]] = []
        size = 0
        for entry in self._entries[self._acked :]:
            size += len(entry[1]) + 32
            if taken and size > limit:
                break
            taken.append(entry)
        return taken

    def acknowledge(self, count: int) -> None:
        """``count`` more events are in Redis."""
        for _, data in self._entries[self._acked : self._acked + count]:
            self._pending_bytes -= len(data)
        self._acked += count
        self._progress.set()

    def continue_from(self, seq: int) -> None:
        """Redis holds this attempt's events before ``seq``, whatever was believed before."""
        self._acked = min(seq, len(self._entries))
        self._pending_bytes = sum(len(data) for _, data in self._entries[self._acked :])
        self._progress.set()

    def fence(self) -> None:
        """Another attempt holds the job: drop what waits, tell the holder."""
        if not self.fenced:
            self.fenced = True
            self._entries.clear()
            self._acked = 0
            self._pending_bytes = 0
            self._progress.set()
            self.on_fenced()


Confirm = Callable[[UUID, int], Awaitable[bool]]
