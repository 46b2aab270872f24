"""Whether this process can do its work: every dependency asked, by name."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

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
    """

    def __init__(self, checks: Mapping[str, Ask], stopping: Callable[[], bool]) -> None:
        self._checks = checks
        self._stopping = stopping

    async def look(self) -> Ready:
        """Ask everything at once; takes :data:`CHECK_TIMEOUT` at most."""
        names = sorted(self._checks)
        results = await asyncio.gather(*(_check(name, self._checks[name]) for name in names))
        checks = dict(zip(names, results, strict=True))
        for name, check in checks.items():
            DEPENDENCY_UP.labels(name).set(check.status == "ok")
        if self._stopping():
            return Ready(status="stopping", checks=checks)
        ready = all(check.status == "ok" for check in results)
        return Ready(status="ready" if ready else "not_ready", checks=checks)


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
