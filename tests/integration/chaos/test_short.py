"""The short version of ``tests/chaos``, whose whole length runs by its own command."""

from __future__ import annotations

import asyncio

from tests.chaos.conftest import RunSystem


async def test_a_killed_worker_and_an_emptied_redis_lose_nothing(run_system: RunSystem) -> None:
    async with run_system(workers=2, gateways=1, users=2) as system:
        victim = system.workers[0]
        killed_at = 0.0

        async def harm() -> None:
            nonlocal killed_at
            await asyncio.sleep(1.5)
            await system.flush_redis()
            await asyncio.sleep(1.0)
            killed_at = system.kill(victim)

        await system.under_load(harm(), seed=7, clients=16, duration=4.0, tokens=(20, 50))
        delays = system.next_attempts(victim, killed_at)
        assert delays.taken, "the worker held no job when it was killed"
        system.require(delays.taken[-1] <= 5.0, f"the next attempts start within 5 s: {delays}")
