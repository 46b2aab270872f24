"""What is true of the whole cluster, whichever process tells it: the queues, and the memory of Redis."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import direct
from shared.jobs.statements import sql, statement
from shared.jobs.states import JobKind
from shared.jobs.store import UNLIMITED

log = logging.getLogger(__name__)

#: Seconds for which an answer stands, however many ask; and that a server has to answer.
FRESH = 5.0
ANSWER_WITHIN = 3.0

RUNNABLE = statement("runnable")
OLDEST_CLAIMABLE = text(sql("waiting_owners") + sql("oldest_claimable"))
STATES = text((Path(__file__).parent / "sql" / "job_states.sql").read_text())

DEPTH = "parley_queue_depth"
OLDEST = "parley_queue_oldest_seconds"
JOBS = "parley_jobs"
HELD_BACK = "parley_jobs_held_back"
REDIS_MEMORY = "parley_redis_memory_bytes"
REDIS_LIMIT = "parley_redis_memory_limit_bytes"

#: What is told, and what it means.
HELP = {
    DEPTH: "Jobs of a kind that a worker could take up now.",
    OLDEST: "Seconds that the oldest job waits which a worker could take up now; 0 when none waits.",
    JOBS: "Jobs of a kind that have not ended, by where they stand.",
    HELD_BACK: "Jobs of a kind that wait because their owners have as many running as one may have.",
    REDIS_MEMORY: "Bytes that Redis uses.",
    REDIS_LIMIT: "Bytes that Redis may use (maxmemory); absent without a limit.",
}

#: Where a job that has not ended can stand: behind the active turn of its conversation, claimable, run, in
#: the stages after its answer, or marked for cancelling.
STANDINGS = ("waiting", "queued", "running", "finishing", "cancelling")


class Cluster:
    """Asks Postgres and Redis what all processes would say alike; gateways and maintenance tell it.

    PromQL takes the ``max`` of it. A server that does not answer leaves its numbers out, rather than old.

    Args:
        engine: Postgres.
        redis: Redis.
        owner_running: most jobs of a kind that one owner has running; 0: any number.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        redis: Redis,
        owner_running: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._redis = redis
        self._owner_running = owner_running or UNLIMITED
        self._clock = clock
        self._asking = asyncio.Lock()
        self._asked: float | None = None
        self._families: list[Metric] = []

    async def families(self) -> list[Metric]:
        """The numbers, :data:`FRESH` seconds old at most."""
        async with self._asking:
            now = self._clock()
            if self._asked is None or now - self._asked >= FRESH:
                jobs, memory = await asyncio.gather(self._jobs(), self._memory())
                self._families, self._asked = [*jobs, *memory], now
            return self._families

    async def _jobs(self) -> list[Metric]:
        parameters = {"owner_running": self._owner_running}
        try:
            async with asyncio.timeout(ANSWER_WITHIN), direct.begin(self._engine) as connection:
                states = connection.later(STATES)
                runnable = connection.later(RUNNABLE, parameters)
                oldest = {
                    kind: connection.later(OLDEST_CLAIMABLE, {"kind": kind, **parameters}) for kind in JobKind
                }
                await connection.flush()
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("the queues are not told: Postgres does not answer: %s", type(error).__name__)
            return []
        standing = {(row.kind, row.standing): int(row.jobs) for row in states.rows}
        depths = {row.kind: int(row.jobs) for row in runnable.rows}
        depth, age = _gauge(DEPTH, "kind"), _gauge(OLDEST, "kind")
        jobs, held_back = _gauge(JOBS, "kind", "status"), _gauge(HELD_BACK, "kind")
        for kind in JobKind:
            claimable = depths.get(kind, 0)
            depth.add_metric([kind], claimable)
            age.add_metric([kind], max(0.0, float(oldest[kind].rows.scalar() or 0.0)))
            held_back.add_metric([kind], max(0, standing.get((kind, "queued"), 0) - claimable))
            for where in STANDINGS:
                jobs.add_metric([kind, where], standing.get((kind, where), 0))
        return [depth, age, jobs, held_back]

    async def _memory(self) -> list[Metric]:
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                told = await self._redis.info("memory")
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("the memory of Redis is not told: %s", type(error).__name__)
            return []
        used = _gauge(REDIS_MEMORY)
        used.add_metric([], int(told["used_memory"]))
        limit = _gauge(REDIS_LIMIT)
        if most := int(told.get("maxmemory", 0)):
            limit.add_metric([], most)
        return [used, limit]


def _gauge(name: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, HELP[name], labels=labels)
