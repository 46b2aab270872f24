"""The reaper, in every worker and gateway: it makes the jobs of dead attempts claimable again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from shared.jobs.job import parse_lease_member
from shared.jobs.lease_watch import LOOK_EVERY, LeaseWatch
from shared.jobs.leases import Leases
from shared.jobs.states import Outcome
from shared.jobs.store import JobStore
from shared.jobs.wakeups import Wakeups

log = logging.getLogger(__name__)

#: Looks are this much closer than they must be, so that a busy event loop does not tear the watch.
SOONER = 1 / 2


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
        sent = self._clock()
        try:
            leases = await self._leases.look()
        except (RedisError, OSError):
            self._watch.reset()
            return []
        condemned = self._watch.observe(
            sent=sent, answered=self._clock(), leases=leases, suspects=self.suspects
        )
        for member in condemned:
            await self._condemn(member)
        return condemned

    async def run(self) -> None:
        """Look until cancelled, more often than the watch asks for."""
        pause = self._leases.ttl * LOOK_EVERY * SOONER
        while True:
            started = self._clock()
            try:
                await self.look()
            except (SQLAlchemyError, RedisError, OSError):
                log.warning("a dead attempt could not be taken away", exc_info=True)
            await asyncio.sleep(max(pause - (self._clock() - started), 0.01))

    async def _condemn(self, member: str) -> None:
        job_id, attempt = parse_lease_member(member)
        failure = {"code": "worker_lost", "message": f"The worker of attempt {attempt} was lost."}
        job = await self._store.make_claimable(job_id, attempt, Outcome.LOST, failure=failure)
        self.suspects.discard(member)
        await self._leases.release([member])
        if job is not None:
            log.warning(
                "an attempt was lost; the job is claimable again",
                extra={"session_id": str(job_id), "attempt": attempt},
            )
            await self._wakeups.send(job.kind, job_id)
