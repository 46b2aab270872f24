"""Whether this process can do its work: every dependency asked, by name."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping

from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.errors import ValidationError
from shared.metrics.health import DEPENDENCY_UP
from shared.schemas.health import Check, Ready

logger = logging.getLogger(__name__)

#: Longest wait for one dependency, in seconds.
CHECK_TIMEOUT = 2.0

#: Raises when the dependency does not answer.
Ask = Callable[[], Awaitable[object]]


class Readiness:
    """Asks what a process depends on.

    Args:
        checks: what is asked, by name; may change.
        stopping: whether the process was told to stop.
        dispensable: what the process does useful work without: whoever asks may leave it out.
    """

    def __init__(
        self,
        checks: Mapping[str, Ask],
        stopping: Callable[[], bool],
        *,
        dispensable: Collection[str] = (),
    ) -> None:
        self._checks = checks
        self._stopping = stopping
        self._dispensable = dispensable

    async def look(self, exclude: Collection[str] = ()) -> Ready:
        """Ask everything at once; takes :data:`CHECK_TIMEOUT` at most.

        Args:
            exclude: what may fail: without it the process is ``degraded``, and not unready.

        Raises:
            ValidationError: the process can do nothing without what is excluded.
        """
        if set(exclude).difference(self._dispensable):
            may = " or ".join(sorted(self._dispensable)) or "nothing"
            message = f"takes {may} here: without anything else this process does not work"
            raise ValidationError(f"exclude {message}", errors=[{"field": "exclude", "message": message}])
        names = sorted(self._checks)
        results = await asyncio.gather(*(_check(name, self._checks[name]) for name in names))
        checks = dict(zip(names, results, strict=True))
        for name, check in checks.items():
            DEPENDENCY_UP.labels(name).set(check.status == "ok")
        if self._stopping():
            return Ready(status="stopping", checks=checks)
        failed = {name for name, check in checks.items() if check.status != "ok"}
        if failed.difference(exclude):
            return Ready(status="not_ready", checks=checks)
        return Ready(status="degraded" if failed else "ready", checks=checks)


def asks_postgres(engine: AsyncEngine) -> Ask:
    """Asks Postgres for its schema: a database that was never migrated is of no use, either."""

    async def ask() -> None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT version_num FROM alembic_version"))

    return ask


def asks_redis(redis: Redis) -> Ask:
    """Asks Redis for a sign of life."""

    async def ask() -> None:
        await redis.ping()

    return ask


async def _check(name: str, ask: Ask) -> Check:
    started = time.perf_counter()
    outcome = "ok"
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            await ask()
    except TimeoutError:
        outcome = "timeout"
    except Exception as error:
        logger.warning("%s does not answer: %s", name, type(error).__name__)
        outcome = "failed"
    return Check.model_validate(
        {"status": outcome, "milliseconds": round((time.perf_counter() - started) * 1000, 1)}
    )
