"""Processes die, stand still, come back, and are told to stop."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.chaos.conftest import RunSystem
from tests.chaos.history import AttemptRow
from tests.chaos.system import System

pytestmark = pytest.mark.slow

#: Seconds from a worker's SIGKILL within which the next attempt at each of its jobs has started.
TAKEN_OVER_WITHIN = 5.0
#: Seconds from the end of the grace period within which the next attempt at what is left has started.
HANDED_OVER_WITHIN = 1.0
GRACE = 2.0


async def test_without_faults_nothing_is_tried_twice(system: System) -> None:
    await system.under_load(asyncio.sleep(0), seed=1, clients=40, duration=6.0)
    system.require(not system.retried(), "no healthy turn is tried again")


async def test_a_killed_worker_is_replaced_within_5_s(system: System) -> None:
    victim = system.workers[0]
    killed_at = 0.0

    async def kill() -> None:
        nonlocal killed_at
        await asyncio.sleep(4.0)
        killed_at = system.kill(victim)

    await system.under_load(kill(), seed=2, clients=40, duration=8.0)
    delays = system.next_attempts(victim, killed_at)
    assert delays.taken, "the worker held no job when it was killed"
    print(f"SIGKILL: {delays}")
    system.require(delays.taken[-1] <= TAKEN_OVER_WITHIN, "the next attempts start within 5 s")


async def test_a_worker_that_stood_still_writes_nothing_more(system: System) -> None:
    zombie = system.workers[0]
    woken_at = 0.0

    async def stand_still() -> None:
        nonlocal woken_at
        await asyncio.sleep(3.0)
        system.pause(zombie)
        await asyncio.sleep(8.0)
        woken_at = time.time()
        system.resume(zombie)

    await system.under_load(stand_still(), seed=3, clients=40, duration=15.0)
    mine = [row for row in system.history.of(AttemptRow) if row.worker.endswith(f":{zombie.pid}")]
    assert any(row.outcome == "lost" for row in mine), "it held no job when it was stopped"
    system.require(
        any(row.started_at > woken_at and row.outcome == "succeeded" for row in mine),
        "a worker that comes back works again",
    )


async def test_clients_of_a_killed_gateway_resume_at_another(system: System) -> None:
    async def kill() -> None:
        await asyncio.sleep(4.0)
        system.kill(system.gateways[0])

    await system.under_load(kill(), seed=4, clients=40, duration=8.0)
    system.require(not system.retried(), "no healthy turn is tried again")


async def test_a_worker_told_to_stop_hands_over_within_1_s_of_its_grace(run_system: RunSystem) -> None:
    async with run_system(drain_grace=GRACE) as system:
        leaving = system.workers[0]
        told_at = 0.0

        async def tell() -> None:
            nonlocal told_at
            await asyncio.sleep(2.5)
            told_at = system.terminate(leaving)

        short = system.load(5, tokens=(10, 25), rate=(25.0, 40.0))
        long = system.load(6, tokens=(80, 100), rate=(10.0, 12.0), mix={"stream": 1, "hang_up": 1})
        async with asyncio.TaskGroup() as group:
            group.create_task(short.run(20, 6.0))
            group.create_task(long.run(20, 1.5))
            group.create_task(tell())
        await system.verdict()
        delays = system.next_attempts(leaving, told_at + GRACE)
        assert delays.taken, "the worker held no long turn when it was told to stop"
        print(f"SIGTERM, after the grace of {GRACE} s: {delays}")
        mine = [row for row in system.history.of(AttemptRow) if row.worker.endswith(f":{leaving.pid}")]
        system.require(
            {row.outcome for row in mine} <= {"succeeded", "cancelled", "drained"}, "nothing is lost by it"
        )
        short_turns = [row for row in mine if row.finished_at and row.started_at > told_at - 1.0]
        system.require(
            any(told_at < (row.finished_at or 0) and row.outcome == "succeeded" for row in short_turns),
            "short turns finish within the grace",
        )
        # Ending a job that was cancelled takes an attempt too, and any process may do it.
        claimed = [row for row in mine if row.outcome != "cancelled"]
        system.require(
            not any(row.started_at > told_at + 0.5 for row in claimed), "a worker that stops claims nothing"
        )
        system.require(delays.taken[-1] <= HANDED_OVER_WITHIN, "handed over within 1 s of the grace")
        ended = await asyncio.to_thread(leaving.child.wait, 10.0)
        system.require(ended and leaving.end() == 0, "the worker ends by itself, with status 0")
