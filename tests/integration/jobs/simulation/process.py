"""A process: its clients, which ask nothing before the scheduler lets them, and its tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

from shared.jobs.accept import accept_turn
from shared.jobs.cancellation import Canceller
from shared.jobs.closing import Closer
from shared.jobs.event_log import Entry, EventLog
from shared.jobs.job import Job
from shared.jobs.leases import Leases
from shared.jobs.new_turn import NewTurn
from shared.jobs.permits import Permits
from shared.jobs.reaper import Reaper
from shared.jobs.retry import retry
from shared.jobs.states import JobKind, Phase
from shared.jobs.store import JobStore
from shared.jobs.sweep import Sweep
from shared.jobs.writer import EventWriter
from shared.redis_client import connect
from shared.settings import Settings
from tests.integration.jobs.faults import Faults, faulty_engine, faulty_redis
from tests.integration.jobs.house import WakeupLog, anything
from tests.integration.jobs.simulation.handler import ScriptedHandler
from workers.jobs.keeper import Keeper
from workers.jobs.runner import JobRunner

#: The job of the barriers.
NOBODY = UUID(int=0)
#: What is told there: an entry, since a message without any is a gap to hubs.
BARRIER = b"1-0\nbarrier\n{}"


class Wakeups:
    """The shared queue, as one process reaches it."""

    def __init__(self, queue: WakeupLog, faults: Faults) -> None:
        self._queue = queue
        self._faults = faults

    async def send(self, kind: JobKind, job_id: UUID | None, count: int = 1) -> bool:
        await self._faults.arrive("wake-up")
        if self._faults.refuses() or self._faults.loses():
            return False
        return await self._queue.send(kind, job_id, count)

    async def report(self, kind: JobKind, job_id: UUID) -> None:
        """Nobody watches a simulation."""

    async def waiting(self, kind: JobKind) -> int:
        await self._faults.arrive("count of wake-ups")
        if self._faults.refuses():
            raise OSError("no broker (fault of the test)")
        return await self._queue.waiting(kind)


class Process:
    """What workers and gateways have in common."""

    def __init__(self, name: str, settings: Settings, queue: WakeupLog) -> None:
        self.name = name
        self.settings = settings
        self.frozen = False
        self.dead = False
        #: Questions that wait for the scheduler.
        self.asked: list[tuple[str, asyncio.Future[None]]] = []
        self.faults = Faults(self._gate)
        self.tasks: set[asyncio.Task[Any]] = set()
        self.engine = faulty_engine(settings.database_url, self.faults, pool_size=30)
        self.redis = faulty_redis(settings.redis_url, self.faults)
        self.store = JobStore(self.engine, settings.owner_running)
        self.log = EventLog(self.redis, settings.namespace)
        self.leases = Leases(self.redis, settings.namespace, settings.lease_ttl)
        self.wakeups: Any = Wakeups(queue, self.faults)
        self.closer = Closer(self.store, self.log, self.wakeups, name, settings.event_retention)
        self.canceller = Canceller(self.store, self.leases, self.redis, self.closer, settings.namespace)
        self.reaper = Reaper(self.store, self.leases, self.wakeups, asyncio.get_running_loop().time)

    async def _gate(self, name: str) -> None:
        if self.dead:
            # Never again; the end of the simulation cancels whoever waits here.
            raise asyncio.CancelledError
        waiting = asyncio.get_running_loop().create_future()
        self.asked.append((name, waiting))
        await waiting

    @property
    def able(self) -> bool:
        return not self.frozen and not self.dead

    def names(self) -> list[str]:
        """What is asked, each kind of question once, in an order that does not depend on the machine."""
        return sorted({name for name, _ in self.asked})

    def answer(self, name: str, *, refuse: bool = False, lose: bool = False) -> str:
        """Let the oldest question of this name through; returns its name."""
        [number, *_] = (number for number, (asked, _) in enumerate(self.asked) if asked == name)
        _, waiting = self.asked.pop(number)
        if not waiting.done():
            self.faults.once = "refuse" if refuse else "lose" if lose else None
            waiting.set_result(None)
        return name

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled():
            # A request or a wake-up that failed; what it promised is judged by what is stored.
            task.exception()

    def crash(self) -> None:
        """SIGKILL: nothing of it happens any more, and its connections are gone."""
        self.dead = True
        self.asked.clear()
        self.faults.cut()

    async def bury(self) -> None:
        """Give back what the test process holds of it."""
        self.crash()
        for task in list(self.tasks):
            task.cancel()
        await self.redis.aclose()
        self.engine.sync_engine.dispose(close=False)


class Worker(Process):
    """A worker process: runner, writer, keeper, reaper, sweep."""

    def __init__(self, name: str, settings: Settings, queue: WakeupLog, handler: ScriptedHandler) -> None:
        super().__init__(name, settings, queue)
        self.writer = EventWriter(
            self.log,
            self.store.holds,
            trip_bytes=settings.trip_bytes,
            pending_bytes=settings.pending_bytes,
            lease_ttl=settings.lease_ttl,
        )
        handler.process = self
        self.handler = handler
        self.runner = JobRunner(
            settings=settings,
            store=self.store,
            log_=self.log,
            writer=self.writer,
            leases=self.leases,
            wakeups=self.wakeups,
            closer=self.closer,
            handlers={JobKind.CHAT: handler},
            worker=name,
        )
        permits = Permits(self.redis, settings.namespace, settings.lease_ttl)
        self.keeper = Keeper(self.runner, self.store, self.leases, permits, self.redis, settings.namespace)
        self.sweep = Sweep(self.store, self.leases, self.wakeups, self.canceller, settings)
        services = [self.writer.run(), self.keeper.keep(), self.reaper.run(), self.sweep.run()]
        if hasattr(self.sweep, "watch"):
            services.append(self.sweep.watch())
        for service in services:
            self.spawn(service)

    def wake(self) -> None:
        self.spawn(self.runner.run_next(JobKind.CHAT))


class Barrier:
    """An inbox that counts what comes in."""

    def __init__(self) -> None:
        self.count = 0

    def put(self, entries: list[Entry]) -> None:
        self.count += 1

    def gap(self) -> None:
        """Its channel tells nothing that could be missed."""

    close = gap


class Gateway(Process):
    """A gateway process: accepts, cancels, retries, relays events."""

    def __init__(self, name: str, settings: Settings, queue: WakeupLog) -> None:
        from gateway.streaming.follow import Follower
        from gateway.streaming.hub import Hub

        super().__init__(name, settings, queue)
        self.listening = connect(settings.redis_url, 5.0)
        self.hub = Hub(self.listening, self.log, settings.client_queue)
        self.follower = Follower(self.store, self.log, self.hub, settings.stream_silence)
        self._stack = AsyncExitStack()
        self._barrier: Barrier | None = None
        self.hearing = asyncio.get_running_loop().create_task(self.hub.run())
        self.spawn(self.reaper.run())

    async def barrier(self) -> Barrier:
        """Hears what is told on the channel of nobody's job, after everything that was told before."""
        if self._barrier is None:
            await self._stack.enter_async_context(self.hub.watch(NOBODY))
            self._barrier = Barrier()
            channel = self.hub._channels[self.log.channel(NOBODY).encode()]
            channel.inboxes.append(self._barrier)  # type: ignore[arg-type]
        return self._barrier

    async def accept(self, turn: NewTurn) -> Job:
        """As the route does it."""
        acceptance = await accept_turn(self.engine, turn, anything)
        if not acceptance.joined:
            if acceptance.job.phase is Phase.READY:
                self.spawn(self.wakeups.send(acceptance.job.kind, acceptance.job.id))
            self.spawn(self._enforce(acceptance.interrupted))
        return acceptance.job

    async def _enforce(self, interrupted: tuple[Job, ...]) -> None:
        for job in interrupted:
            await self.canceller.enforce(job)

    async def retry(self, job_id: UUID, secret: bytes | None) -> None:
        job = await self.store.get(job_id)
        if job is not None:
            await retry(self.store, self.log, self.wakeups, job, secret)

    def crash(self) -> None:
        super().crash()
        self.hearing.cancel()

    async def bury(self) -> None:
        await super().bury()
        await self._stack.aclose()
        await asyncio.gather(self.hearing, return_exceptions=True)
        await self.listening.aclose()
