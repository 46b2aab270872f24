"""Reaper and sweep as a process of their own: ``python -m workers.maintenance``.

Every worker does the same beside its jobs. This process takes none: where all workers are busy, scaled to
nothing or gone, dead attempts are still taken away, cancel marks carried out, wake-ups sent and what has
expired removed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import uvloop

from shared import garbage, tracing
from shared.database.engine import create_engine
from shared.jobs.cancellation import Canceller
from shared.jobs.closing import Closer
from shared.jobs.event_log import EventLog
from shared.jobs.leases import Leases
from shared.jobs.reaper import Reaper
from shared.jobs.store import JobStore
from shared.jobs.sweep import Sweep
from shared.jobs.wakeups import Wakeups
from shared.logging import configure_logging
from shared.metrics.cluster import Cluster
from shared.metrics.exposition import Exposition
from shared.metrics.listener import ListenError, listening
from shared.readiness import Readiness, asks_postgres, asks_redis
from shared.redis_client import connect
from shared.settings import Settings, SettingsError, get_settings

log = logging.getLogger(__name__)

#: Exit status when a service ended by itself: the process is to be started anew.
BROKEN = 70


@asynccontextmanager
async def watching(settings: Settings) -> AsyncIterator[asyncio.Task[None]]:
    """The time in which reaper and sweep run; the task that is given ends only if one of them broke."""
    async with AsyncExitStack() as resources:
        engine = create_engine(settings.database_url)
        resources.push_async_callback(engine.dispose)
        redis = connect(settings.redis, settings.redis_timeout)
        resources.push_async_callback(redis.aclose)
        leases = Leases.watching(settings)
        resources.push_async_callback(leases.redis.aclose)
        wakeups = Wakeups(settings, redis)
        resources.callback(wakeups.close)
        store = JobStore(engine, settings.owner_running)
        name = f"maintenance {socket.gethostname()}:{os.getpid()}"
        events = EventLog(redis, settings.namespace)
        closer = Closer(store, events, wakeups, name, settings.event_retention)
        canceller = Canceller(store, leases, redis, closer, settings.namespace)
        reaper = Reaper(store, leases, wakeups, asyncio.get_running_loop().time)
        sweep = Sweep(store, leases, wakeups, canceller, settings)
        readiness = Readiness({"postgres": asks_postgres(engine), "redis": asks_redis(redis)}, lambda: False)
        cluster = Cluster(engine, redis, settings.owner_running)
        exposition = Exposition("maintenance", readiness, cluster=cluster)
        await resources.enter_async_context(listening(settings.metrics_listen, exposition, readiness))
        task = asyncio.create_task(_together(reaper, sweep))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])


async def _together(reaper: Reaper, sweep: Sweep) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(reaper.run())
        group.create_task(sweep.run())


async def maintain(settings: Settings) -> int:
    """Watch until told to stop (SIGTERM, SIGINT); the exit status of the process."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with watching(settings) as task:
        garbage.settle()
        log.info("maintenance ready")
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            log.critical("a service of the maintenance ended", exc_info=task.exception())
            return BROKEN
    log.info("maintenance stopped")
    return 0


def main() -> int:
    """Run with the settings of the environment; the exit status of the process."""
    try:
        settings = get_settings()
    except SettingsError as error:
        print(f"parley maintenance: {error}", file=sys.stderr)
        return 2
    configure_logging(settings, service="maintenance")
    tracing.start(settings, "maintenance")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(maintain(settings))
        except ListenError as error:
            print(f"parley maintenance: {error}", file=sys.stderr)
            return 2
        finally:
            tracing.stop()


if __name__ == "__main__":
    sys.exit(main())
