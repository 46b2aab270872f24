"""What operators see of a worker: whether it works, and how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.jobs.states import JobKind
from shared.metrics.exposition import Exposition
from shared.metrics.jobs import RUNNING, SERVED, SLOTS
from shared.metrics.listener import listening
from shared.metrics.scripts import AVAILABLE
from shared.readiness import Readiness, asks_postgres, asks_redis
from workers.jobs.runner import JobRunner
from workers.sandbox.process.processes import ScriptProcesses


class NotConsumingError(Exception):
    """Celery has not yet told that it takes messages."""


class WorkerMonitor:
    """Watches one worker process; what it tells is looked up when somebody asks.

    Args:
        engine: Postgres.
        redis: Redis.
        runner: runs the jobs.
        scripts: runs the scripts.
    """

    def __init__(
        self, engine: AsyncEngine, redis: Redis, runner: JobRunner, scripts: ScriptProcesses
    ) -> None:
        self._runner = runner
        self._scripts = scripts
        self._consuming = False
        checks = {
            "postgres": asks_postgres(engine),
            "redis": asks_redis(redis),
            "consumer": self._asks_consumer,
        }
        self.readiness = Readiness(checks, lambda: runner.draining)
        self.exposition = Exposition("worker", self.readiness, observe=self._observe)

    @asynccontextmanager
    async def listening(self, address: str | None) -> AsyncIterator[None]:
        """Answer operators on ``address``; see :func:`shared.metrics.listener.listening`."""
        async with listening(address, self.exposition, self.readiness):
            yield

    def consumes(self, kinds: Collection[JobKind], slots: int) -> None:
        """The worker takes up jobs of ``kinds`` from now on, ``slots`` at once."""
        self._consuming = True
        SLOTS.set(slots)
        for kind in JobKind:
            SERVED.labels(kind).set(kind in kinds)

    async def _asks_consumer(self) -> None:
        if not self._consuming:
            raise NotConsumingError

    def _observe(self) -> None:
        running = Counter(attempt.job.kind for attempt in self._runner.running.values())
        for kind in JobKind:
            RUNNING.labels(kind).set(running[kind])
        AVAILABLE.set(self._scripts.available)
