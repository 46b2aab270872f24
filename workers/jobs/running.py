"""An attempt while it is being run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from shared.errors import ParleyError
from shared.jobs.job import Job
from shared.jobs.job_stream import Confirm, JobStream
from shared.jobs.states import Status
from shared.jobs.store import AttemptLostError
from shared.schemas.events import EventType

T = TypeVar("T")


class StopReason(StrEnum):
    """Why an attempt was stopped from outside."""

    #: Somebody cancelled the job.
    CANCEL = "cancel"
    #: Another attempt holds the job: write nothing more.
    FENCED = "fenced"
    #: The worker was told to stop: hand the job over.
    DRAIN = "drain"


class DrainedError(Exception):
    """The worker was told to stop: another one is to take the job."""


class StrayCancelError(Exception):
    """Nobody cancelled the work: some library let a cancellation of its own slip."""


@dataclass(frozen=True, slots=True)
class Settled(Generic[T]):
    """Work whose outcome is to be committed."""

    #: ``succeeded``, ``failed`` or ``cancelled``.
    status: Status
    #: What came of it, if it succeeded.
    result: T | None = None
    #: Why it failed.
    error: ParleyError | None = None


class RunningAttempt:
    """One attempt in this process: the job as claimed, its events, and how to stop it.

    It is the event sink of the turn that it runs.

    Args:
        job: as it was claimed.
        stream: its events.
        known_at: when it was last known that this attempt holds the job, on the loop's clock.
        holds: asks Postgres whether it does.
        trust: for how long the answer stands, in seconds.
    """

    def __init__(self, job: Job, stream: JobStream, *, known_at: float, holds: Confirm, trust: float) -> None:
        self.job = job
        #: When it began, in seconds since the epoch.
        self.began = time.time()
        #: The job as this attempt ended it.
        self.final: Job | None = None
        self.known_at = known_at
        self._holds = holds
        self._trust = trust
        self.stream = stream
        self.stopped: StopReason | None = None
        self._task: asyncio.Task[Any] | None = None
        stream.on_fenced = lambda: self.stop(StopReason.FENCED)

    async def settle(self, work: Coroutine[Any, Any, T]) -> Settled[T]:
        """Do ``work``, which a stop cancels, also one that came before; how it ended.

        Raises:
            AttemptLostError: another attempt holds the job.
            DrainedError: it is to be handed over.
            Exception: something broke inside Parley.
        """
        task = self._task = asyncio.create_task(work)
        if self.stopped is not None:
            task.cancel()
        await asyncio.wait([task])
        if self.fenced:
            if not task.cancelled():
                # Nobody asks how it ended.
                task.exception()
            raise AttemptLostError(self.job.lease)
        try:
            return Settled(Status.SUCCEEDED, task.result())
        except asyncio.CancelledError as error:
            if self.stopped is StopReason.DRAIN:
                raise DrainedError(self.job.lease) from None
            if self.stopped is None:
                raise StrayCancelError(self.job.lease) from error
            return Settled(Status.CANCELLED)
        except AttemptLostError:
            raise
        except ParleyError as error:
            return Settled(Status.FAILED, error=error)

    def stop(self, reason: StopReason) -> None:
        """Cancel the work. Being fenced outweighs every other reason."""
        if self.stopped is None or reason is StopReason.FENCED:
            first = self.stopped is None
            self.stopped = reason
            if first and self._task is not None and not self._task.done():
                self._task.cancel()

    async def confirm(self) -> None:
        """Return when it is known that this attempt still holds the job.

        A process that stood still for longer than its leases live does not know it any more, and must ask
        before it calls a provider: the answer may be stored by now.

        Raises:
            AttemptLostError: another attempt holds the job, or it has ended.
        """
        now = asyncio.get_running_loop().time()
        if now - self.known_at <= self._trust:
            return
        if not await self._holds(self.job.id, self.job.attempt):
            raise AttemptLostError(self.job.lease)
        self.known_at = now

    @property
    def ended(self) -> bool:
        """Whether this attempt ended the job."""
        return self.final is not None

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
