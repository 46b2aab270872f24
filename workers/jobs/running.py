"""An attempt while it is being run."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Any

from shared.jobs.job import Job
from shared.jobs.job_stream import JobStream
from shared.schemas.events import EventType


class StopReason(StrEnum):
    """Why an attempt was stopped from outside."""

    #: Somebody cancelled the job.
    CANCEL = "cancel"
    #: Another attempt holds the job: write nothing more.
    FENCED = "fenced"
    #: The worker was told to stop: hand the job over.
    DRAIN = "drain"


class RunningAttempt:
    """One attempt in this process: the job as claimed, its events, and how to stop it.

    It is the event sink of the turn that it runs.
    """

    def __init__(self, job: Job, stream: JobStream) -> None:
        self.job = job
        self.stream = stream
        self.stopped: StopReason | None = None
        #: Whether this attempt ended the job.
        self.ended = False
        self._task: asyncio.Task[Any] | None = None
        stream.on_fenced = lambda: self.stop(StopReason.FENCED)

    def begin(self, task: asyncio.Task[Any]) -> None:
        """``task`` does the work now; a stop that came before reaches it."""
        self._task = task
        if self.stopped is not None:
            task.cancel()

    def stop(self, reason: StopReason) -> None:
        """Cancel the work. Being fenced outweighs every other reason."""
        if self.stopped is None or reason is StopReason.FENCED:
            first = self.stopped is None
            self.stopped = reason
            if first and self._task is not None and not self._task.done():
                self._task.cancel()

    @property
    def fenced(self) -> bool:
        """Whether another attempt holds the job."""
        return self.stopped is StopReason.FENCED

    def emit(self, event: EventType, data: dict[str, Any]) -> object:
        """Tell an event."""
        return self.stream.emit(event, data)

    @property
    def full(self) -> bool:
        """Whether the turn should stop reading from its provider."""
        return self.stream.full

    async def room(self) -> None:
        """Return when there is room for more events."""
        await self.stream.room()
