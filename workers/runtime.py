"""One event loop per worker process, in a thread of its own, and the clients that live on it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Collection, Coroutine
from concurrent.futures import Future
from contextlib import AsyncExitStack, suppress
from typing import Any, TypeVar
from uuid import UUID

import uvloop
from redis.exceptions import RedisError

from shared import tracing
from shared.database.engine import create_engine
from shared.jobs.cancellation import Canceller
from shared.jobs.closing import Closer
from shared.jobs.event_log import EventLog
from shared.jobs.leases import Leases
from shared.jobs.live import LiveState
from shared.jobs.permits import Permits
from shared.jobs.reaper import Reaper
from shared.jobs.sessions import ChatSessionManager
from shared.jobs.states import JobKind
from shared.jobs.store import JobStore
from shared.jobs.sweep import Sweep
from shared.jobs.wakeups import Wakeups
from shared.jobs.watched import Watched
from shared.jobs.writer import EventWriter
from shared.redis_client import connect
from shared.security.secrets import SecretBox
from shared.settings import Settings
from workers.experiment.languages.manager import check_catalogues
from workers.jobs.chat import ChatHandler
from workers.jobs.experiments.handler import ExperimentHandler
from workers.jobs.experiments.step_writer import StepWriter
from workers.jobs.keeper import Keeper
from workers.jobs.query import QueryHandler
from workers.jobs.runner import JobRunner
from workers.jobs.task_events import JobTasks, TaskEvents
from workers.jobs.turn_world import StageParts
from workers.monitor import WorkerMonitor
from workers.providers.base.http_client import ProviderHttpClient
from workers.sandbox.limits import ScriptLimits
from workers.sandbox.process import SandboxUnavailableError, ScriptProcesses

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds that a worker may take to come up, and to let go of what it holds.
START_TIMEOUT = 30.0
STOP_TIMEOUT = 5.0


class Runtime:
    """The loop of a worker process. Celery's threads submit coroutines to it and wait.

    ``start`` and ``stop`` are called from Celery's main thread.

    Args:
        settings: of the process.
        task_events: where monitors are told of jobs as tasks.
    """

    def __init__(self, settings: Settings, task_events: TaskEvents | None = None) -> None:
        self._settings = settings
        self._task_events = task_events
        self._tasks = JobTasks(task_events)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="parley-loop", daemon=True)
        self._resources = AsyncExitStack()
        self._services: list[asyncio.Task[None]] = []
        self._scripts = ScriptProcesses(
            ScriptLimits.from_settings(settings),
            processes=settings.script_processes,
            reserved=settings.script_reserved,
            nesting=settings.script_nesting,
        )
        self.runner: JobRunner
        self._monitor: WorkerMonitor

    def start(self) -> None:
        """Start the loop and everything that lives on it, or nothing of it.

        Raises:
            SecretKeyError: no key to read secrets with.
            ListenError: the address of the metrics is taken, or not of this machine.
        """
        try:
            self._scripts.start()
        except SandboxUnavailableError as error:
            log.warning("scripts are refused on this machine: %s", error)
        tracing.start(self._settings, "worker")
        self._thread.start()
        try:
            self.submit(self._start()).result(START_TIMEOUT)
        except BaseException:
            self._end(self._release())
            raise

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run ``work`` on the loop, from any thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run_next(self, kind: JobKind) -> str:
        """Claim and run a job of ``kind``; called from a thread of Celery's pool, which waits."""
        return self.submit(self.runner.run_next(kind)).result()

    def consumes(self, kinds: Collection[JobKind], slots: int) -> None:
        """Celery takes messages now, for jobs of ``kinds``, and has so many slots for them."""
        self._loop.call_soon_threadsafe(self._monitor.consumes, kinds, slots)

    def report(self, job_id: UUID) -> None:
        """Tell monitors how a job stands that was ended without being run."""
        self.submit(self._report_job(job_id)).result()

    def mark_watched(self, watched: bool) -> None:
        """Note for other processes that somebody watches, or watches no more."""
        self.submit(self._mark_watched(watched))

    def drain(self) -> None:
        """Claim nothing more, and hand over what does not end within the grace period."""
        self._loop.call_soon_threadsafe(self.runner.drain)

    def stop(self) -> None:
        """Stop the loop, after what is left to be told was told."""
        self._end(self._stop())

    def _end(self, work: Coroutine[Any, Any, None]) -> None:
        """Stop the loop after ``work``."""
        with suppress(TimeoutError):
            self.submit(work).result(STOP_TIMEOUT)
        self._scripts.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_TIMEOUT)
        tracing.stop()

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _start(self) -> None:
        settings = self._settings
        # A text that a language lacks is told now, and not by the first experiment.
        check_catalogues()
        worker = f"{socket.gethostname()}:{os.getpid()}"
        redis = connect(settings.redis, settings.redis_timeout)
        # The writer and the renewal each have a connection that nothing else can hold up.
        writing = connect(settings.redis, settings.redis_timeout, max_connections=1)
        renewing = connect(settings.redis, settings.lease_ttl / 3, max_connections=2)
        engine = create_engine(settings.database_url)
        client = ProviderHttpClient(settings)
        self._resources.push_async_callback(client.aclose)
        self._resources.push_async_callback(engine.dispose)
        for redis_client in (redis, writing, renewing):
            self._resources.push_async_callback(redis_client.aclose)
        box = SecretBox.from_settings(settings)
        store = JobStore(engine, settings.owner_running)
        log_ = EventLog(redis, settings.namespace)
        leases = Leases(renewing, settings.namespace, settings.lease_ttl)
        permits = Permits(redis, settings.namespace, settings.lease_ttl)
        wakeups = Wakeups(settings, redis)
        self._resources.callback(wakeups.close)
        closer = Closer(store, log_, wakeups, worker, settings.event_retention)
        canceller = Canceller(store, leases, redis, closer, settings.namespace)
        sessions = ChatSessionManager(store, canceller, LiveState(redis, settings.namespace))
        writer = EventWriter(
            EventLog(writing, settings.namespace),
            store.holds,
            trip_bytes=settings.trip_bytes,
            pending_bytes=settings.pending_bytes,
            lease_ttl=settings.lease_ttl,
        )
        parts = StageParts(
            engine=engine,
            store=store,
            box=box,
            settings=settings,
            client=client,
            permits=permits,
            processes=self._scripts,
        )
        steps = StepWriter(engine, redis, settings.namespace)
        self.runner = JobRunner(
            settings=settings,
            store=store,
            log_=log_,
            writer=writer,
            leases=leases,
            wakeups=wakeups,
            closer=closer,
            handlers={
                JobKind.CHAT: ChatHandler(
                    parts,
                    enter_stage=lambda job, stage: self.runner.spawn(sessions.register_session(job, stage)),
                ),
                JobKind.EXPERIMENT: ExperimentHandler(parts, steps),
                JobKind.QUERY: QueryHandler(parts),
            },
            worker=worker,
            tasks=self._tasks,
        )
        self._store = store
        self._watched = Watched(redis, settings.namespace)
        await self._heed_watchers()
        keeper = Keeper(self.runner, store, leases, permits, redis, settings.namespace)
        watching = Leases.watching(settings)
        self._resources.push_async_callback(watching.redis.aclose)
        reaper = Reaper(store, watching, wakeups, self._loop.time)
        sweep = Sweep(store, watching, wakeups, canceller, settings)
        keeping = (writer.run(), steps.run(), keeper.keep(), keeper.listen())
        healing = (reaper.run(), sweep.run())
        for service in (*keeping, *healing):
            task = self._loop.create_task(service)
            task.add_done_callback(_report)
            self._services.append(task)
        monitor = WorkerMonitor(engine, redis, self.runner, self._scripts)
        await self._resources.enter_async_context(monitor.listening(settings.metrics_listen))
        self._monitor = monitor

    async def _report_job(self, job_id: UUID) -> None:
        if (job := await self._store.get(job_id)) is not None:
            self._tasks.report(job)

    async def _heed_watchers(self) -> None:
        """Whoever watches the other workers asks this one some seconds late."""
        with suppress(RedisError, OSError):
            if self._task_events is not None and await self._watched.watched():
                self._task_events.heed()

    async def _mark_watched(self, watched: bool) -> None:
        with suppress(RedisError, OSError):
            await (self._watched.mark() if watched else self._watched.clear())

    async def _stop(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT / 2):
                await self.runner.idle()
        await self._release()

    async def _release(self) -> None:
        """End the services, and let go of what was held for them."""
        for service in self._services:
            service.cancel()
        await asyncio.gather(*self._services, return_exceptions=True)
        await self._resources.aclose()


def _report(task: asyncio.Task[None]) -> None:
    """A service that ends by itself is a fault: say so, and end the process rather than limp on."""
    if not task.cancelled():
        log.critical("a service of the worker ended", exc_info=task.exception())
        os._exit(70)
