"""The sweep, in any worker, one at a time: it makes up for what Redis lost and removes what has expired."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from shared.jobs.cancellation import Canceller
from shared.jobs.job import lease_member
from shared.jobs.leases import Leases
from shared.jobs.statements import statement
from shared.jobs.store import JobStore
from shared.jobs.wakeups import Wakeups
from shared.metrics.jobs import SWEPT
from shared.settings import Settings

log = logging.getLogger(__name__)

#: Whoever sweeps holds it until the end of its transaction.
SWEEP_LOCK = 0x7061726C65790002

_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)")
_EXPIRE = {
    name: statement(name)
    for name in (
        "expire_idempotency",
        "expire_jobs",
        "expire_traces",
        "purge_conversations",
        "purge_experiments",
    )
}


class Sweep:
    """What heals by itself, some seconds late.

    * As many wake-ups as there are runnable jobs.
    * Cancel marks are carried out again, and marked jobs that nobody holds are ended.
    * What has expired is removed.
    """

    def __init__(
        self,
        store: JobStore,
        leases: Leases,
        wakeups: Wakeups,
        canceller: Canceller,
        settings: Settings,
    ) -> None:
        self._store = store
        self._leases = leases
        self._wakeups = wakeups
        self._canceller = canceller
        self._settings = settings

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                await self.sweep()
            except Exception:
                # The broker's library has errors of its own; none of them is worth the process.
                log.warning("the sweep could not finish", exc_info=True)
            await asyncio.sleep(self._settings.sweep_interval)

    async def sweep(self) -> bool:
        """Sweep once, unless another process is at it; whether this one did."""
        async with self._store.engine.begin() as connection:
            if not (await connection.execute(_TRY_LOCK, {"lock": SWEEP_LOCK})).scalar():
                return False
            for expire in _EXPIRE.values():
                await connection.execute(
                    expire,
                    {
                        "idempotency_retention": self._settings.idempotency_retention,
                        "event_retention": self._settings.event_retention,
                        "trace_retention": self._settings.trace_retention,
                    },
                )
            async with asyncio.timeout(self._settings.sweep_interval * 2):
                with suppress(RedisError, OSError):
                    # Without Redis the marks are carried out all the same.
                    await self._leases.forget_flags(await self._held())
                await self.carry_out_marks()
                await self.top_up()
        SWEPT.set_to_current_time()
        return True

    async def _held(self) -> set[str]:
        return {lease_member(job_id, attempt) for job_id, attempt in await self._store.held()}

    async def carry_out_marks(self) -> None:
        """Carry out every cancel mark again."""
        for job in await self._store.marked():
            try:
                await self._canceller.enforce(job)
            except SQLAlchemyError:
                # The next one is not to wait for this one's luck.
                log.warning("a cancel mark stands", exc_info=True, extra={"session_id": str(job.id)})

    async def top_up(self) -> None:
        """Send the wake-ups that are missing."""
        for kind, jobs in (await self._store.runnable()).items():
            missing = jobs - await self._wakeups.waiting(kind)
            if missing > 0:
                await self._wakeups.send(kind, None, missing)
