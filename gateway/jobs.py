"""What a gateway process needs to accept jobs, watch them and cancel them."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.streaming.follow import Follower
from gateway.streaming.hub import Hub
from shared.jobs.cancellation import Canceller
from shared.jobs.closing import Closer
from shared.jobs.event_log import EventLog
from shared.jobs.leases import Leases
from shared.jobs.live import LiveState
from shared.jobs.reaper import Reaper
from shared.jobs.sessions import ChatSessionManager
from shared.jobs.store import JobStore
from shared.jobs.wakeups import Wakeups
from shared.redis_client import connect
from shared.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class GatewayJobs:
    """The job machinery of one gateway process.

    Attributes:
        store: jobs in Postgres.
        log: their events in Redis.
        wakeups: wakes workers.
        canceller: cancels jobs.
        sessions: sessions as clients see them.
        hub: the one subscription of this process.
        follower: replays and relays events.
    """

    store: JobStore
    log: EventLog
    wakeups: Wakeups
    canceller: Canceller
    sessions: ChatSessionManager
    hub: Hub
    follower: Follower
    _reaper: Reaper
    _connections: tuple[Redis, ...]
    _background: set[asyncio.Task[Any]] = field(default_factory=set)

    @classmethod
    def create(cls, settings: Settings, engine: AsyncEngine) -> GatewayJobs:
        """The machinery with these settings; nothing is connected yet."""
        redis = connect(settings.redis, settings.redis_timeout)
        store = JobStore(engine, settings.owner_running)
        log = EventLog(redis, settings.namespace)
        leases = Leases.watching(settings)
        wakeups = Wakeups(settings, redis)
        worker = f"gateway {socket.gethostname()}:{os.getpid()}"
        closer = Closer(store, log, wakeups, worker, settings.event_retention)
        canceller = Canceller(store, leases, redis, closer, settings.namespace)
        hub = Hub(redis, log, settings.client_queue)
        return cls(
            store=store,
            log=log,
            wakeups=wakeups,
            canceller=canceller,
            sessions=ChatSessionManager(store, canceller, LiveState(redis, settings.namespace)),
            hub=hub,
            follower=Follower(store, log, hub, settings.stream_silence),
            # The clock is that of the loop that runs the gateway.
            _reaper=Reaper(store, leases, wakeups, lambda: asyncio.get_running_loop().time()),
            _connections=(redis, leases.redis),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The time in which jobs are watched."""
        services = [asyncio.create_task(self.hub.run()), asyncio.create_task(self._reaper.run())]
        for service in services:
            service.add_done_callback(_report)
        try:
            yield
        finally:
            for service in services:
                service.cancel()
            await asyncio.gather(*services, *self._background, return_exceptions=True)
            self.wakeups.close()
            for connection in self._connections:
                await connection.aclose()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something that no request waits for."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("a background task failed", exc_info=error)


def _report(task: asyncio.Task[None]) -> None:
    """A service that ends by itself is a fault: say so, and end the process rather than limp on unseen."""
    if not task.cancelled():
        logger.critical("a service of the gateway ended", exc_info=task.exception())
        os._exit(70)
