"""Everything at once: a minute of faults, drawn from a seed that a failing run tells."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable

import pytest

from tests.chaos.conftest import RunSystem
from tests.chaos.system import System

pytestmark = pytest.mark.slow

#: Seconds of faults.
DURATION = 60.0
#: Seconds between the end of a fault and the next one.
QUIET = (0.3, 3.0)


class Faults:
    """What is done to a system, one thing after the other, each drawn at random."""

    def __init__(self, system: System, seed: int) -> None:
        self.system = system
        self.random = random.Random(seed)

    async def run(self, duration: float) -> None:
        """Do harm for ``duration`` seconds."""
        kinds: list[Callable[[], Awaitable[None]]] = [
            self.kill_worker,
            self.stop_worker,
            self.terminate_worker,
            self.kill_gateway,
            self.kill_redis,
            self.flush_redis,
            self.pause_redis,
            self.cut,
            self.lose_replies,
            self.half_close,
            self.stall,
        ]
        loop = asyncio.get_running_loop()
        ends = loop.time() + duration
        drawn: list[Callable[[], Awaitable[None]]] = []
        while loop.time() < ends:
            await asyncio.sleep(self.random.uniform(*QUIET))
            # Every kind comes once before one comes twice.
            drawn = drawn or self.random.sample(kinds, len(kinds))
            await drawn.pop()()

    async def kill_worker(self) -> None:
        self.system.kill(self.random.choice(self.system.workers))
        await self.system.start_worker()

    async def stop_worker(self) -> None:
        worker = self.random.choice(self.system.workers)
        self.system.pause(worker)
        await asyncio.sleep(self.random.uniform(1.0, 7.0))
        self.system.resume(worker)

    async def terminate_worker(self) -> None:
        self.system.terminate(self.random.choice(self.system.workers))
        await self.system.start_worker()

    async def kill_gateway(self) -> None:
        self.system.kill(self.random.choice(self.system.gateways))
        await self.system.start_gateway()

    async def kill_redis(self) -> None:
        await self.system.kill_redis()
        await asyncio.sleep(self.random.uniform(0.0, 2.0))
        await self.system.start_redis()

    async def flush_redis(self) -> None:
        await self.system.flush_redis()

    async def pause_redis(self) -> None:
        self.system.pause_redis()
        await asyncio.sleep(self.random.uniform(0.5, 5.0))
        self.system.resume_redis()

    async def cut(self) -> None:
        name = self._proxy()
        share = self.random.choice([1, 1, 2, 3])
        self.system.history.fault(f"cut {name}, one of {share}")
        self.system.proxy(name).cut(lambda number: number % share == 0)

    async def lose_replies(self) -> None:
        name = self.random.choice(["worker_postgres", "gateway_postgres", "worker_redis"])
        pattern = b"EVALSHA" if name == "worker_redis" else self.random.choice([b"COMMIT", b"UPDATE"])
        self.system.history.fault(f"lose replies of {name} to {pattern.decode()}")
        self.system.proxy(name).lose_replies(pattern, self.random.randint(1, 4))

    async def half_close(self) -> None:
        name = self._proxy()
        self.system.history.fault(f"half-close {name}")
        self.system.proxy(name).half_close()

    async def stall(self) -> None:
        name = self._proxy()
        proxy = self.system.proxy(name)
        self.system.history.fault(f"stall {name}")
        proxy.stall()
        await asyncio.sleep(self.random.uniform(0.2, 3.0))
        proxy.resume()
        self.system.history.fault(f"resume {name}")

    def _proxy(self) -> str:
        # Not the provider's: a turn whose provider breaks off fails, and that is as it should be.
        return self.random.choice(["worker_redis", "gateway_redis", "worker_postgres", "gateway_postgres"])


async def test_everything_at_once(run_system: RunSystem) -> None:
    seed = int(os.environ.get("PARLEY_CHAOS_SEED", random.randrange(10**6)))
    print(f"\nPARLEY_CHAOS_SEED={seed}")
    # Attempts that are killed do not tell that a job is at fault: here they are killed all the time.
    async with run_system(proxied=True, max_attempts=50, drain_grace=1.0) as system:
        faults = Faults(system, seed)
        await system.under_load(faults.run(DURATION), seed=seed, clients=20, duration=DURATION + 2)
        assert system.retried(), "the faults hit nothing"
