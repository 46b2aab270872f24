"""Redis dies, forgets everything, stands still: what it holds may be lost, and nothing else is."""

from __future__ import annotations

import asyncio

import pytest

from tests.chaos.system import System

pytestmark = pytest.mark.slow


async def test_a_killed_redis_comes_back_with_what_it_had(system: System) -> None:
    async def kill() -> None:
        await asyncio.sleep(3.0)
        await system.kill_redis()
        await asyncio.sleep(2.0)
        await system.start_redis()

    await system.under_load(kill(), seed=11, clients=40, duration=9.0)
    system.require(not system.retried(), "no healthy turn is tried again")


async def test_an_emptied_redis_is_filled_again(system: System) -> None:
    async def flush() -> None:
        for _ in range(3):
            await asyncio.sleep(2.0)
            await system.flush_redis()

    await system.under_load(flush(), seed=12, clients=40, duration=9.0)
    system.require(not system.retried(), "no healthy turn is tried again")


async def test_a_redis_that_stands_still_for_5_s_restarts_nothing(system: System) -> None:
    async def pause() -> None:
        await asyncio.sleep(3.0)
        system.pause_redis()
        await asyncio.sleep(5.0)
        system.resume_redis()

    await system.under_load(pause(), seed=13, clients=40, duration=11.0)
    system.require(not system.retried(), "no healthy turn is tried again")


async def test_an_emptied_redis_and_a_killed_worker_at_once(system: System) -> None:
    async def both() -> None:
        await asyncio.sleep(3.0)
        system.kill(system.workers[0])
        await system.flush_redis()

    await system.under_load(both(), seed=14, clients=40, duration=7.0)
