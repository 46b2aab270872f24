"""The sweep, in any worker, one at a time: it makes up for what Redis lost and removes what has expired."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from redis.exceptions import RedisError
from sqlalchemy import TextClause, text
from sqlalchemy.exc import SQLAlchemyError

from shared.database.advisory_locks import AdvisoryLock
from shared.jobs.cancellation import Canceller
from shared.jobs.job import lease_member
from shared.jobs.leases import Leases
from shared.jobs.statements import statement
from shared.jobs.store import JobStore
from shared.jobs.wakeups import Wakeups
from shared.metrics.jobs import SWEPT
from shared.settings import Settings

log = logging.getLogger(__name__)

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
                log.warning("the sweep could not finish", exc_info=True)
            await asyncio.sleep(self._settings.sweep_interval)

    async def sweep(self) -> bool:
        """Sweep once, unless another process is at it; whether this one did.

        One part that fails is logged and holds up no other, nor undoes it; ``parley_sweep_timestamp_seconds``
        tells of sweeps of which no part failed.
        """
        parts: dict[str, Callable[[], Awaitable[bool]]] = {
            "flags": self._forget_flags,
            "cancel marks": self.carry_out_marks,
            "wake-ups": self.top_up,
            **{name: partial(self._expire, expire) for name, expire in _EXPIRE.items()},
        }
        # It holds the lock and nothing else: each part commits what it did.
        async with self._store.engine.begin() as connection:
            if not (await connection.execute(_TRY_LOCK, {"lock": AdvisoryLock.SWEEP})).scalar():
                return False
            done = [await self._do(name, part) for name, part in parts.items()]
        if all(done):
            SWEPT.set_to_current_time()
        return True

    def _limit(self) -> asyncio.Timeout:
        """What asks Redis or the broker has so long: the lock is not held for servers that do not answer."""
        return asyncio.timeout(self._settings.sweep_interval * 2)

    async def _do(self, name: str, part: Callable[[], Awaitable[bool]]) -> bool:
        """Whether a part of the sweep did what it is for."""
        try:
            return await part()
        except Exception as error:
            log.warning(
                "a part of the sweep failed",
                exc_info=True,
                extra={"part": name, "error": type(error).__name__},
            )
            return False

    async def _expire(self, expire: TextClause) -> bool:
        """Remove some of what has expired."""
        kept = {
            "idempotency_retention": self._settings.idempotency_retention,
            "event_retention": self._settings.event_retention,
            "trace_retention": self._settings.trace_retention,
        }
        async with self._store.engine.begin() as connection:
            await connection.execute(expire, kept)
        return True

    async def _forget_flags(self) -> bool:
        """Forget the flags of attempts that are over; without Redis there are none."""
        with suppress(RedisError, OSError):
            async with self._limit():
                await self._leases.forget_flags(await self._held())
        return True

    async def _held(self) -> set[str]:
        return {lease_member(job_id, attempt) for job_id, attempt in await self._store.held()}

    async def carry_out_marks(self) -> bool:
        """Carry out every cancel mark again; whether none was left standing by a fault of Postgres."""
        done = True
        async with self._limit():
            for job in await self._store.marked():
                try:
                    await self._canceller.enforce(job)
                except SQLAlchemyError:
                    # The next one is not to wait for this one's luck.
                    log.warning("a cancel mark stands", exc_info=True, extra={"session_id": str(job.id)})
                    done = False
        return done

    async def top_up(self) -> bool:
        """Send the wake-ups that are missing; whether the broker took them, if any may be missing."""
        for kind, jobs in (await self._store.runnable()).items():
            try:
                async with self._limit():
                    missing = jobs - await self._wakeups.waiting(kind)
                    if missing > 0 and not await self._wakeups.send(kind, None, missing):
                        return False
            except Exception as error:
                # The broker's library has errors of its own, each transport others.
                log.warning(
                    "the broker does not answer: lost wake-ups are not made up, and jobs wait for it",
                    extra={"kind": kind, "error": type(error).__name__},
                )
                return False
        return True
