"""Cancelling a job: the mark on its row first, then a flag and a message to whoever runs it."""

from __future__ import annotations

import logging
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.database import direct
from shared.jobs.closing import Closer
from shared.jobs.job import Job
from shared.jobs.leases import Leases
from shared.jobs.statements import statement
from shared.jobs.states import Phase
from shared.jobs.store import JobStore

log = logging.getLogger(__name__)

_MARK = statement("mark_cancelled")


def cancel_channel(namespace: str) -> str:
    """The channel on which workers hear ``<job>:<attempt>`` of what is to be cancelled."""
    return f"{namespace}:cancel"


class Canceller:
    """Cancels jobs, whoever holds them, from any process."""

    def __init__(self, store: JobStore, leases: Leases, redis: Redis, closer: Closer, namespace: str) -> None:
        self._store = store
        self._leases = leases
        self._redis = redis
        self._closer = closer
        self._channel = cancel_channel(namespace)

    async def cancel(self, job_id: UUID, *, unless_answered: bool = False) -> Job | None:
        """Cancel a job: at once when nobody holds it, else by telling its holder.

        Args:
            job_id: the job.
            unless_answered: leave it alone when its answer is stored and only stages 4 and 5 are left.

        Returns:
            The job as it is afterwards; ``None`` when it had ended before, or was left alone. A job that is
            held may still be stored as succeeded: the commit of its outcome decides.
        """
        parameters = {"job_id": job_id, "unless_answered": unless_answered}
        row = (await direct.execute(self._store.engine, _MARK, parameters)).mappings().first()
        if row is None:
            return None
        job = Job.from_row(row)
        await self.enforce(job)
        return await self._store.get(job_id)

    async def enforce(self, job: Job) -> None:
        """Carry out the mark on ``job``; the sweep does what fails here."""
        if job.phase is Phase.HELD:
            await self.tell(job)
        elif not job.ended and (ended := await self._closer.cancel(job)) is not None:
            await self._closer.report(ended)

    async def tell(self, job: Job) -> None:
        """Leave the flag and send the message to the worker that holds ``job``."""
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.sadd(self._leases.cancels, job.lease)
                pipeline.publish(self._channel, job.lease)
                await pipeline.execute()
        except (RedisError, OSError):
            log.warning("a cancel waits for Redis; the mark stands", extra={"session_id": str(job.id)})
