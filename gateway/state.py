"""What one gateway process holds, from its start to its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from fastapi import Request
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from gateway.jobs import GatewayJobs
from gateway.key_uses import KeyUses
from gateway.known_keys import KnownKeys
from shared.database.engine import create_engine
from shared.database.repositories import connections
from shared.metrics.cluster import Cluster
from shared.metrics.exposition import Exposition
from shared.metrics.listener import listening
from shared.readiness import Ask, Readiness, asks_postgres, asks_redis
from shared.redis_client import connect
from shared.security.bootstrap import ensure_admin
from shared.security.secrets import SecretBox
from shared.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class GatewayState:
    """The clients and services that routes use.

    Attributes:
        engine: connections to Postgres, five at most.
        sessions: makes database sessions: ``async with state.sessions.begin() as session``.
        redis: a client for short commands; streams have connections of their own.
        box: encrypts secrets, hashes bodies.
        key_uses: notes in the background which API keys were used.
        known_keys: looks up API keys.
        jobs: accepts jobs, watches them, cancels them.
        checks: what ``/health/ready`` asks, by name; each raises when its server does not answer.
        readiness: asks them.
        exposition: the page that Prometheus reads.
        resources: entered services, left in reverse order when the process stops.
        stopping: set when the process was told to stop.
    """

    settings: Settings
    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    redis: Redis
    box: SecretBox
    key_uses: KeyUses
    known_keys: KnownKeys
    jobs: GatewayJobs
    readiness: Readiness
    exposition: Exposition
    checks: dict[str, Ask]
    resources: AsyncExitStack = field(default_factory=AsyncExitStack)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _on_shutdown: list[Callable[[], None]] = field(default_factory=list)

    @classmethod
    def create(cls, settings: Settings) -> GatewayState:
        """The state of a process with these settings; nothing is connected yet.

        Raises:
            SecretKeyError: no key to encrypt secrets with.
        """
        engine = create_engine(settings.database_url)
        sessions = async_sessionmaker(engine, expire_on_commit=False)
        redis = connect(settings.redis, settings.redis_timeout)
        checks = {"postgres": asks_postgres(engine), "redis": asks_redis(redis)}
        stopping = asyncio.Event()
        readiness = Readiness(checks, stopping.is_set, dispensable={"redis"})
        state = cls(
            settings=settings,
            engine=engine,
            sessions=sessions,
            redis=redis,
            box=SecretBox.from_settings(settings),
            key_uses=KeyUses(sessions),
            known_keys=KnownKeys(engine, time.monotonic),
            jobs=GatewayJobs.create(settings, engine),
            readiness=readiness,
            exposition=Exposition(
                "gateway", readiness, cluster=Cluster(engine, redis, settings.owner_running)
            ),
            checks=checks,
            stopping=stopping,
        )
        state.on_shutdown(state.jobs.hub.close)
        return state

    def on_shutdown(self, hook: Callable[[], None]) -> None:
        """Call ``hook`` when the process is told to stop, before it waits for open responses.

        What keeps a response open for long (an SSE stream) ends here. Hooks are called once, in the event
        loop, and do not block.
        """
        self._on_shutdown.append(hook)

    def begin_shutdown(self) -> None:
        """End what would keep the process from stopping; a second call does nothing."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        for hook in self._on_shutdown:
            try:
                hook()
            except Exception:
                logger.exception("a shutdown hook failed")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[GatewayState]:
        """The time in which requests are answered."""
        self.resources.push_async_callback(self.engine.dispose)
        self.resources.push_async_callback(self.redis.aclose)
        async with self.resources:
            if self.settings.admin_key is not None:
                key = self.settings.admin_key.get_secret_value()
                await ensure_admin(self.engine, key, seed=self.settings.seed_new_users)
            await connections.ensure_local_for_all(self.engine, self.settings)
            await self.resources.enter_async_context(self.key_uses.running())
            await self.resources.enter_async_context(self.jobs.running())
            await self.resources.enter_async_context(
                listening(self.settings.metrics_listen, self.exposition, self.readiness)
            )
            try:
                yield self
            finally:
                self.begin_shutdown()


async def get_state(request: Request) -> GatewayState:
    """The state of this process, for a route."""
    state: GatewayState = request.app.state.gateway
    return state
