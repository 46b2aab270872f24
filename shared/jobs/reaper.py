"""The reaper, in every worker and gateway: it makes the jobs of dead attempts claimable again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from shared.jobs import spans
from shared.jobs.job import lease_member, parse_lease_member
from shared.jobs.lease_watch import LOOK_EVERY, LeaseWatch
from shared.jobs.leases import Leases
from shared.jobs.states import Outcome
from shared.jobs.store import JobStore
from shared.jobs.wakeups import Wakeups
from shared.metrics.jobs import TAKEOVERS

log = logging.getLogger(__name__)

#: Suspects are looked for this often, as a part of the leases' TTL.
FIND_EVERY = 1 / 6


class Reaper:
    """Watches all leases; condemns those that were not renewed for a whole TTL.

    It only makes the row claimable: the attempt is taken by whoever claims it. Any number may run.

    Args:
        store: the jobs.
        leases: the leases.
        wakeups: to wake a worker for what was made claimable.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, store: JobStore, leases: Leases, wakeups: Wakeups, clock: Callable[[], float]) -> None:
        self._store = store
        self._leases = leases
        self._wakeups = wakeups
        self._clock = clock
        self._watch = LeaseWatch(leases.ttl)
        #: Attempts that Postgres says are held; watched for whether they have a lease at all.
        self.suspects: set[str] = set()

    async def look(self) -> list[str]:
        """One look; returns the attempts that it condemned."""
        condemned = await self._observe()
        for member in condemned:
            await self._condemn(member)
        return condemned

    async def find_suspects(self) -> None:
        """Ask Postgres what is held; whether it has a lease is for the watch to see."""
        self.suspects = {lease_member(job_id, attempt) for job_id, attempt in await self._store.held()}

    async def run(self) -> None:
        """Look, and find suspects, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_on())
            group.create_task(self._find_on())

    async def _look_on(self) -> None:
        """Look twice as often as the watch asks for: a look that comes late begins the watch anew."""
        pause = self._leases.ttl * LOOK_EVERY / 2
        condemning: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                started = self._clock()
                condemning = {member: task for member, task in condemning.items() if not task.done()}
                for member in await self._observe():
                    # Beside the looks: what is done about a dead attempt must not make the next look late.
                    if member not in condemning:
                        condemning[member] = asyncio.create_task(self._try_to_condemn(member))
                await asyncio.sleep(max(pause - (self._clock() - started), 0.01))
        finally:
            for task in condemning.values():
                task.cancel()

    async def _find_on(self) -> None:
        """Find suspects often: a worker that is killed between its claim and its lease leaves a job that only
        Postgres knows of, and it is to be taken over as soon as the others.
        """
        while True:
            try:
                await self.find_suspects()
            except (SQLAlchemyError, OSError) as error:
                log.warning("Postgres did not say what is held", extra={"error": type(error).__name__})
            await asyncio.sleep(self._leases.ttl * FIND_EVERY)

    async def _observe(self) -> list[str]:
        sent = self._clock()
        try:
            leases = await self._leases.look()
        except (RedisError, OSError):
            self._watch.reset()
            return []
        return self._watch.observe(sent=sent, answered=self._clock(), leases=leases, suspects=self.suspects)

    async def _try_to_condemn(self, member: str) -> None:
        try:
            await self._condemn(member)
        except (SQLAlchemyError, RedisError, OSError):
            # The next look condemns it again.
            log.warning("a dead attempt could not be taken away", exc_info=True)

    async def _condemn(self, member: str) -> None:
        job_id, attempt = parse_lease_member(member)
        failure = {"code": "worker_lost", "message": f"The worker of attempt {attempt} was lost."}
        job = await self._store.make_claimable(job_id, attempt, Outcome.LOST, failure=failure)
        self.suspects.discard(member)
        await self._leases.release([member])
        if job is not None:
            TAKEOVERS.labels(job.kind).inc()
            log.warning(
                "an attempt was lost; the job is claimable again",
                extra={"session_id": str(job_id), "attempt": attempt},
            )
            await self._wakeups.send(job.kind, job_id)
            await spans.lost(self._store.engine, job, attempt)
