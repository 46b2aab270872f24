"""A Parley of one test: processes that can be killed, connections that can be cut, and clients at work."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from deploy.local.valkey import EmbeddedValkey
from tests.chaos.checker import judge
from tests.chaos.collect import collect, wait_until_ended
from tests.chaos.history import AttemptRow, History, JobRow, ProviderCall, Received
from tests.chaos.load import Load
from tests.fakes.process import start_model_server
from tests.support.proxy import (
    Proxy,
    postgres_address,
    postgres_through,
    redis_address,
    redis_through,
)
from tests.support.stack import Gateway, Process, Stack, StackUser, running_stack

NAMESPACE = "chaos"
#: Seconds until every job must have ended after the last client has gone.
PATIENCE = 40.0


@dataclass(frozen=True)
class Spread:
    """How long it took to give up the attempts of a process, and until the next ones started, in seconds."""

    given_up: list[float]
    taken: list[float]

    def __str__(self) -> str:
        return f"{len(self.taken)} jobs; given up {_spell(self.given_up)}; next attempt {_spell(self.taken)}"


def _spell(delays: list[float]) -> str:
    if not delays:
        return "never"
    return f"min {delays[0]:.2f}, p50 {delays[len(delays) // 2]:.2f}, max {delays[-1]:.2f} s"


@dataclass
class Proxies:
    """What the processes are connected through."""

    worker_redis: Proxy
    gateway_redis: Proxy
    worker_postgres: Proxy
    gateway_postgres: Proxy
    provider: Proxy

    def all(self) -> dict[str, Proxy]:
        """Each of them by its name."""
        return dict(vars(self))


@dataclass
class System:
    """Everything that a test of this folder breaks.

    Attributes:
        stack: the processes.
        redis: their Redis.
        proxies: between them; ``None`` unless asked for.
        history: what happens.
        users: whose turns they are.
        killed: processes that the test ended, so that they may be gone.
    """

    stack: Stack
    redis: EmbeddedValkey
    proxies: Proxies | None
    history: History
    worker_settings: dict[str, Any]
    gateway_settings: dict[str, Any]
    database_url: str
    users: list[StackUser] = field(default_factory=list)
    killed: set[int] = field(default_factory=set)

    @property
    def workers(self) -> list[Process]:
        """The workers that the test has not ended."""
        return [worker for worker in self.stack.workers if worker.pid not in self.killed]

    @property
    def gateways(self) -> list[Gateway]:
        """The gateways that the test has not ended."""
        return [gateway for gateway in self.stack.gateways if gateway.pid not in self.killed]

    def start(self, workers: int, gateways: int) -> None:
        """Start the first processes; blocks until they are ready."""
        started = [self.stack.start_worker(wait=False, **self.worker_settings) for _ in range(workers)]
        for _ in range(gateways):
            self.stack.start_gateway(**self.gateway_settings)
        for worker in started:
            worker.wait_logged(" ready.")

    async def start_worker(self) -> Process:
        """Start one more worker."""
        return await asyncio.to_thread(partial(self.stack.start_worker, **self.worker_settings))

    async def start_gateway(self) -> Gateway:
        """Start one more gateway."""
        return await asyncio.to_thread(partial(self.stack.start_gateway, **self.gateway_settings))

    def kill(self, process: Process) -> float:
        """SIGKILL; returns when it was sent."""
        at = self.history.fault(f"SIGKILL {process.log.stem}")
        self.killed.add(process.pid)
        process.kill()
        if isinstance(process, Gateway):
            # Nobody takes connections for it any more.
            process.socket.close()
        return at

    def pause(self, process: Process) -> None:
        """SIGSTOP."""
        self.history.fault(f"SIGSTOP {process.log.stem}")
        process.send(signal.SIGSTOP)

    def resume(self, process: Process) -> None:
        """SIGCONT."""
        self.history.fault(f"SIGCONT {process.log.stem}")
        process.send(signal.SIGCONT)

    def terminate(self, process: Process) -> float:
        """SIGTERM; returns when it was sent."""
        at = self.history.fault(f"SIGTERM {process.log.stem}")
        self.killed.add(process.pid)
        process.send(signal.SIGTERM)
        return at

    def proxy(self, name: str) -> Proxy:
        """One of the proxies, by its name."""
        assert self.proxies is not None, "the system is connected directly"
        return self.proxies.all()[name]

    async def kill_redis(self) -> None:
        """SIGKILL to Redis."""
        self.history.fault("SIGKILL redis")
        await asyncio.to_thread(self.redis.kill)

    async def start_redis(self) -> None:
        """Start Redis again, with what it had on disk."""
        await asyncio.to_thread(self.redis.start)
        self.history.fault("start redis")

    def pause_redis(self) -> None:
        """SIGSTOP to Redis."""
        self.history.fault("SIGSTOP redis")
        self.redis.pause()

    def resume_redis(self) -> None:
        """SIGCONT to Redis."""
        self.redis.resume()
        self.history.fault("SIGCONT redis")

    async def flush_redis(self) -> None:
        """Empty Redis, scripts and all."""
        async with Redis.from_url(self.redis.url, protocol=2) as redis:
            self.history.fault("FLUSHALL")
            await redis.flushall()
            await redis.script_flush()

    def retried(self) -> list[AttemptRow]:
        """Attempts that were followed by another one."""
        given_up = {"lost", "drained", "broken"}
        return [row for row in self.history.of(AttemptRow) if row.outcome in given_up]

    def load(self, seed: int, **options: Any) -> Load:
        """Clients of this system."""
        return Load(
            self.history,
            lambda: [gateway.url for gateway in self.gateways],
            [user.key for user in self.users],
            seed=seed,
            **options,
        )

    async def under_load(
        self,
        faults: Awaitable[None],
        *,
        seed: int,
        clients: int,
        duration: float,
        failing: bool = False,
        **options: Any,
    ) -> None:
        """Have clients at work while ``faults`` happen, and until everything that they began has ended.

        ``failing``: whether turns may fail, because of the provider.
        """
        load = self.load(seed, **options)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run(clients, duration))
            group.create_task(_run(faults))
        await self.verdict(failing=failing)

    async def verdict(self, *, failing: bool = False) -> None:
        """Wait for the end of every job, complete the history and judge it."""
        left = await wait_until_ended(self.database_url, PATIENCE)
        await collect(
            self.history,
            database_url=self.database_url,
            redis_url=self.redis.url,
            namespace=NAMESPACE,
            model=self.stack.model,
        )
        violations = judge(self.history)
        failed = [job.id for job in self.history.of(JobRow) if job.status == "failed"]
        gone = [
            process.log.stem for process in (*self.workers, *self.gateways) if not process.child.running()
        ]
        print(f"\n{self.summary()}")
        if "PARLEY_CHAOS_DIR" in os.environ:
            print(f"history and logs are in {self.keep()}")
        if violations or gone or left or (failed and not failing):
            kept = self.keep()
            told = "\n  ".join(str(violation) for violation in violations[:40])
            raise AssertionError(
                f"{len(violations)} violations, {left} jobs have not ended, failed: {failed}, "
                f"processes that ended by themselves: {gone}; "
                f"history and logs are in {kept}\n  {told}"
            )

    def require(self, kept: bool, promise: str) -> None:
        """Fail when a promise that the figures show was not kept."""
        if not kept:
            raise AssertionError(f"{promise}; history and logs are in {self.keep()}")

    def keep(self) -> Path:
        """Keep the history and the logs of the processes; where they are."""
        root = Path(os.environ.get("PARLEY_CHAOS_DIR", tempfile.gettempdir()))
        root.mkdir(parents=True, exist_ok=True)
        kept = Path(tempfile.mkdtemp(prefix=f"parley-chaos-{time.strftime('%H%M%S')}-", dir=root))
        self.history.save(kept / "history.jsonl")
        for log in self.stack.directory.glob("*.log"):
            shutil.copy(log, kept)
        return kept

    def summary(self) -> str:
        """What the run was made of."""
        jobs = list(self.history.of(JobRow))
        statuses = collections.Counter(job.status for job in jobs)
        outcomes = collections.Counter(row.outcome for row in self.history.of(AttemptRow))
        events = sum(1 for _ in self.history.of(Received))
        calls = sum(1 for _ in self.history.of(ProviderCall))
        return (
            f"{len(jobs)} jobs {dict(statuses)}; attempts {dict(outcomes)}; {events} events received; "
            f"{calls} provider calls"
        )

    # Figures ------------------------------------------------------------------------------------------
    def next_attempts(self, process: Process, since: float) -> Spread:
        """For each attempt that ``process`` lost: seconds from ``since`` until the next one started.

        A job that was marked for cancelling meanwhile is not tried again: the sweep ends it.
        """
        marked = {job.id for job in self.history.of(JobRow) if job.cancel_requested}
        rows = {(row.job_id, row.attempt): row for row in self.history.of(AttemptRow)}
        given_up, taken = [], []
        for row in rows.values():
            if row.job_id in marked:
                continue
            if row.worker.endswith(f":{process.pid}") and row.outcome in {"lost", "drained"}:
                later = rows.get((row.job_id, row.attempt + 1))
                if later is not None and row.finished_at is not None:
                    given_up.append(row.finished_at - since)
                    taken.append(later.started_at - since)
        return Spread(sorted(given_up), sorted(taken))


async def _run(work: Awaitable[None]) -> None:
    await work


@contextlib.asynccontextmanager
async def running_system(
    *,
    database_url: str,
    redis: EmbeddedValkey,
    workers: int = 2,
    gateways: int = 2,
    users: int = 3,
    proxied: bool = False,
    **settings: object,
) -> AsyncIterator[System]:
    """A system on a migrated database and a Redis of the test; ``settings`` are Parley's.

    ``redis_url`` is among them where the processes reach the Redis by another URL than the test does.
    """
    async with contextlib.AsyncExitStack() as resources:
        model = resources.enter_context(start_model_server())
        stack = resources.enter_context(
            running_stack(
                database_url=database_url,
                redis_url=str(settings.pop("redis_url", redis.url)),
                workers=0,
                gateways=0,
                concurrency=200,
                model=model,
                namespace=NAMESPACE,
                **settings,
            )
        )
        proxies = None
        worker_settings: dict[str, Any] = {}
        gateway_settings: dict[str, Any] = {}
        if proxied:
            to_redis, to_postgres = redis_address(redis.url), postgres_address(database_url)
            addresses = (to_redis, to_redis, to_postgres, to_postgres, ("127.0.0.1", model.port))
            proxies = Proxies(
                *[await resources.enter_async_context(Proxy.to(address)) for address in addresses]
            )
            worker_settings = {
                "redis_url": redis_through(proxies.worker_redis),
                "database_url": postgres_through(proxies.worker_postgres, database_url),
            }
            gateway_settings = {
                "redis_url": redis_through(proxies.gateway_redis),
                "database_url": postgres_through(proxies.gateway_postgres, database_url),
            }
        system = System(stack, redis, proxies, History(), worker_settings, gateway_settings, database_url)

        async def stop() -> None:
            # In a thread: what is stopped may still need a proxy that this loop runs.
            await asyncio.to_thread(stack.stop)

        resources.push_async_callback(stop)
        resources.callback(redis.resume)
        # In a thread: what is started may need a proxy that this loop runs.
        await asyncio.to_thread(system.start, workers, gateways)
        port = proxies.provider.port if proxies else model.port
        for _ in range(users):
            user = await asyncio.to_thread(stack.user)
            await asyncio.to_thread(user.connect, settings={"base_url": f"http://127.0.0.1:{port}/v1"})
            system.users.append(user)
        yield system
