"""A client: connects, takes events, is cut off, and resumes with the last id that it has."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from shared.jobs.event_log import Entry
from shared.jobs.resume import check_cursor, is_final
from shared.jobs.states import JobKind
from shared.schemas.events import FINAL_EVENTS, REBUILT, EventId, EventType
from tests.integration.jobs.simulation.process import Gateway


class Client:
    """Somebody who follows one job."""

    def __init__(self, job_id: UUID) -> None:
        self.job_id = job_id
        self.got: list[Entry] = []
        self.text = ""
        self.done = False
        self.task: asyncio.Task[Any] | None = None
        self.gateway: Gateway | None = None
        #: Told of what is wrong with what came in.
        self.faults: list[str] = []
        #: How often a final event came, and with which text.
        self.ends: list[tuple[EventId, str]] = []

    @property
    def cursor(self) -> EventId | None:
        return self.got[-1].id if self.got else None

    @property
    def connected(self) -> bool:
        return self.task is not None and not self.task.done()

    def connect(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.task = gateway.spawn(self._follow(gateway))

    def disconnect(self) -> None:
        if self.task is not None:
            self.task.cancel()

    async def _follow(self, gateway: Gateway) -> None:
        job = await gateway.store.get(self.job_id)
        if job is None:
            self.faults.append("the job is gone")
            return
        if self.cursor is not None and not check_cursor(self.cursor, job):
            if not is_final(self.got[-1], JobKind.CHAT):
                self.faults.append(f"204 for a client that has no end, at {self.cursor}")
            return
        async with gateway.hub.watch(self.job_id) as inbox:
            async for batch in gateway.follower.follow(job, inbox, self.cursor):
                for one in batch:
                    if one.shown:
                        self._take(one)

    def _take(self, one: Entry) -> None:
        before = self.cursor
        if before is not None:
            follows = one.id == before.successor
            behind_a_fence = one.id.attempt > before.attempt and one.id.seq <= 1
            rebuilt_end = self.done and one.id.seq >= REBUILT and one.type in FINAL_EVENTS
            if one.id <= before:
                self.faults.append(f"{one.id} came after {before}")
            elif not (follows or behind_a_fence or rebuilt_end or one.type == EventType.RESTART):
                self.faults.append(f"between {before} and {one.id} something is missing")
        self.got.append(one)
        if one.type == EventType.RESTART:
            self.text, self.done = "", False
        elif one.type == EventType.CHUNK:
            self.text += one.payload()["content"]
        elif one.type == EventType.DONE:
            self.done = True
        if is_final(one, JobKind.CHAT):
            self.ends.append((one.id, self.text))
