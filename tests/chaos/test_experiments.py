"""Runs of experiments come to the same, step for step, whatever dies while they run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from deploy.local.postgres import EmbeddedPostgres
from deploy.local.valkey import EmbeddedValkey
from tests.chaos.conftest import RunSystem
from tests.chaos.runs import Run, Runs, Whole, config, runs_of
from tests.chaos.system import System, running_system
from tests.chaos.test_everything import Faults
from tests.support.stack import Process

pytestmark = pytest.mark.slow

#: Runs whose worker is killed, in each part of the protocol: 20 in all.
KILLS = 5
#: Longest wait between the place at which a worker is to be killed and its death, in seconds.
LATEST = 0.04
#: Runs that are broken in every way at once.
RUNS = 3
#: Leases that run out soon, so that the next attempt begins soon.
SETTINGS = {"workers": 0, "gateways": 1, "users": 1, "lease_ttl": 1.0}

#: Parts of the paths of steps at which workers are killed.
PLACES = {
    "phase_1": ("p1/",),
    "discussion": ("/reasoning", "/statement", "/favoured", "p2/r2/", "p2/r3/"),
    "votes": ("/vote/initiation", "/vote/confirmation", "/ballot/principle", "/ballot/amount", "/ballot/"),
}


def drawn(number: int) -> random.Random:
    """Of one test; ``PARLEY_CHAOS_SEED`` draws other places to kill at."""
    seed = int(os.environ.get("PARLEY_CHAOS_SEED", "1")) * 100 + number
    print(f"\nseed {seed}")
    return random.Random(seed)


@contextlib.asynccontextmanager
async def replaced(runs: Runs) -> AsyncIterator[Callable[[], None]]:
    """Starts a worker beside what goes on; every one that was begun runs at the end."""
    async with asyncio.TaskGroup() as starting:

        def start() -> None:
            starting.create_task(runs.workers.start())

        yield start


async def kill_at(whole: Whole, runs: Runs, number: int, place: str, chance: random.Random) -> bool:
    """A run whose worker is killed at some step of ``place``; whether it had one then."""
    path = chance.choice(whole.left.in_order(place))
    late = chance.uniform(0, LATEST)
    async with replaced(runs) as start:
        run = await runs.begin(whole.config)
        assert await run.begun(path)
        await asyncio.sleep(late)
        hit = await run.kill()
        start()
        left = await run.ended()
    whole.compare(run, left)
    assert left.outcomes == (["lost", "succeeded"] if hit else ["succeeded"])
    flying = ", ".join(run.in_flight) or "nothing"
    print(f"kill {number} of {KILLS}: {late * 1000:.0f} ms after {path}; in flight: {flying}")
    return hit


@pytest.mark.parametrize("part", PLACES)
async def test_a_killed_worker_changes_nothing(run_system: RunSystem, part: str) -> None:
    chance = drawn(sorted(PLACES).index(part))
    async with run_system(**SETTINGS) as system, runs_of(system, seed=1) as runs:
        whole = await runs.whole(config(chance.randrange(100)))
        places = PLACES[part]
        hits = [
            await kill_at(whole, runs, number + 1, places[number % len(places)], chance)
            for number in range(KILLS)
        ]
        assert any(hits), "no worker was killed while it had a run"


async def test_a_worker_killed_at_the_very_end_changes_nothing(run_system: RunSystem) -> None:
    """The last calls, the last step, and the result that is about to be stored."""
    chance = drawn(10)
    async with run_system(**SETTINGS) as system, runs_of(system, seed=2) as runs:
        whole = await runs.whole(config(chance.randrange(100)))
        steps = len(whole.left.steps)
        for number, missing in enumerate((5, 3, 1, 0, 0)[:KILLS]):
            late = chance.uniform(0, 0.01)
            async with replaced(runs) as start:
                run = await runs.begin(whole.config)
                await run.far(steps - missing)
                await asyncio.sleep(late)
                hit = await run.kill()
                start()
                left = await run.ended()
            whole.compare(run, left)
            place = f"{late * 1000:.0f} ms after step {steps - missing} of {steps}"
            print(f"kill {number + 1} of {KILLS}: {place}{'' if hit else ': the run had ended'}")


async def test_more_kills_than_attempts_may_fail(run_system: RunSystem) -> None:
    """Attempts that recorded steps are no failures of the run."""
    chance = drawn(20)
    kills = 6
    async with run_system(**SETTINGS, max_attempts=2) as system, runs_of(system, seed=3) as runs:
        whole = await runs.whole(config(chance.randrange(100), phase2_rounds=4))
        steps = len(whole.left.steps)
        async with replaced(runs) as start:
            run = await runs.begin(whole.config)
            for number in range(kills):
                assert await run.far(steps * (number + 1) // (kills + 1))
                await asyncio.sleep(chance.uniform(0, LATEST))
                assert await run.kill()
                start()
                print(f"kill {number + 1} of {kills}: {len(run.recorded)} of {steps} steps were recorded")
            left = await run.ended()
        whole.compare(run, left)
        assert left.outcomes == ["lost"] * kills + ["succeeded"]
        assert left.job["failures"] == 0


async def test_a_worker_told_to_stop_hands_its_run_over(run_system: RunSystem) -> None:
    async with run_system(**SETTINGS, drain_grace=0.2) as system, runs_of(system, seed=4) as runs:
        whole = await runs.whole(config(4))
        run = await runs.begin(whole.config)
        assert await run.far(len(whole.left.steps) // 2)
        holder = await run.holder()
        assert isinstance(holder, Process)
        system.terminate(holder)
        left = await run.ended()
        whole.compare(run, left, known=False)
        assert left.outcomes == ["drained", "succeeded"]
        # What was answered before was not asked again.
        assert all(step["sends"] == 1 for step in left.calls.values() if step["attempt"] == 1)
        assert await asyncio.to_thread(holder.child.wait, 10.0)
        assert holder.end() == 0


async def test_a_worker_that_stood_still_adds_nothing(run_system: RunSystem) -> None:
    """It wakes when another one has its run: its calls in flight come back to it, and it may keep none."""
    async with run_system(**SETTINGS) as system, runs_of(system, seed=10) as runs:
        whole = await runs.whole(config(10))
        run = await runs.begin(whole.config)
        assert await run.begun(whole.left.in_order("p2/r1/")[0])
        zombie = await run.holder()
        assert zombie is not None
        system.pause(zombie)
        assert await run.begun(whole.left.in_order("p2/r2/")[0]), "another worker takes it over"
        system.resume(zombie)
        left = await run.ended()
        whole.compare(run, left, known=False)
        assert left.outcomes == ["lost", "succeeded"]
        # And it works again.
        runs.system.kill(next(worker for worker in system.workers if worker is not zombie))
        again = await runs.begin(whole.config)
        whole.compare(again, await again.ended())


async def test_killed_gateways_change_nothing(run_system: RunSystem) -> None:
    async with run_system(**{**SETTINGS, "gateways": 2}) as system, runs_of(system, seed=11) as runs:
        whole = await runs.whole(config(11))
        run = await runs.begin(whole.config)
        for place in ("p1/", "p2/r1/", "p2/r2/"):
            assert await run.begun(whole.left.in_order(place)[0])
            system.kill(system.gateways[0])
            await system.start_gateway()
        left = await run.ended()
        whole.compare(run, left)
        assert left.outcomes == ["succeeded"]


@pytest.mark.parametrize("reply", [b"COMMIT", b"experiment_steps", b"experiment_events"])
async def test_what_postgres_did_unheard_is_done_once(run_system: RunSystem, reply: bytes) -> None:
    """The connection breaks between what Postgres did and its answer; then without a reason."""
    async with run_system(**SETTINGS, proxied=True) as system, runs_of(system, seed=12) as runs:
        whole = await runs.whole(config(12))
        proxy = system.proxy("worker_postgres")
        run = await runs.begin(whole.config)
        for place in ("p1/", "p1/r3/", "p2/r1/", "/ballot/"):
            assert await run.begun(whole.left.in_order(place)[0])
            proxy.lose_replies(reply, 2)
        assert await run.begun(whole.left.in_order("/memory/results")[0])
        proxy.cut()
        left = await run.ended()
        whole.compare(run, left)
        assert proxy.lost_replies >= 2
        assert left.outcomes == ["succeeded"]


async def everything(system: System, chance: random.Random) -> None:
    """A worker is lost in each of three ways, again and again, and something else breaks at the same time."""
    faults = Faults(system, chance.randrange(10**6))
    deadly = [faults.kill_worker, faults.stop_worker, faults.terminate_worker]
    others = [faults.kill_gateway, faults.kill_redis, faults.flush_redis, faults.cut, faults.lose_replies]
    others += [faults.half_close, faults.stall, faults.pause_redis]
    while True:
        for fault in chance.sample(deadly, len(deadly)):
            await asyncio.sleep(chance.uniform(0.3, 1.5))
            await asyncio.gather(fault(), chance.choice(others)())


async def test_everything_at_once_changes_nothing(run_system: RunSystem) -> None:
    chance = drawn(30)
    settings = {**SETTINGS, "workers": 2, "gateways": 2, "max_attempts": 50, "drain_grace": 0.5}
    async with run_system(**settings, proxied=True) as system, runs_of(system, workers=0, seed=13) as runs:
        groups = [[f"{name}_{number}" for name in ("Ann", "Ben", "Cem")] for number in range(RUNS)]
        configs = [config(chance.randrange(100), group, call=0.3, phase2_rounds=4) for group in groups]
        wholes = await asyncio.gather(*(runs.whole(one, alone=False) for one in configs))
        system.stack.model.reset()
        begun = [(whole, await runs.begin(whole.config, alone=False)) for whole in wholes]
        harm = asyncio.create_task(everything(system, chance))
        results = await asyncio.gather(*(run.ended() for _, run in begun))
        harm.cancel()
        await asyncio.wait([harm])
        system.resume_redis()
        for (whole, run), left in zip(begun, results, strict=True):
            whole.compare(run, left, known=False, others=True)
            print(f"{whole.config['agents'][0]['name']}: {left.outcomes}")
        assert any(len(left.outcomes) > 1 for left in results), "the faults hit nothing"


async def broken(whole: Whole, runs: Runs, fault: Callable[[], Awaitable[None]]) -> Run:
    """A run in whose middle something happens, once it has begun to discuss."""
    run = await runs.begin(whole.config)
    assert await run.begun(whole.left.in_order("p2/r1/")[0])
    await fault()
    return run


async def test_a_lost_redis_changes_nothing(run_system: RunSystem) -> None:
    async with run_system(**SETTINGS) as system, runs_of(system, seed=5) as runs:
        whole = await runs.whole(config(5))

        async def kill() -> None:
            await system.kill_redis()
            await asyncio.sleep(1.5)
            await system.start_redis()

        for fault in (kill, system.flush_redis):
            run = await broken(whole, runs, fault)
            left = await run.ended()
            whole.compare(run, left)
            assert left.outcomes == ["succeeded"], "no healthy run is tried again"


async def test_an_emptied_redis_and_a_killed_worker_change_nothing(run_system: RunSystem) -> None:
    async with run_system(**SETTINGS) as system, runs_of(system, seed=6) as runs:
        whole = await runs.whole(config(6))
        run = await runs.begin(whole.config)
        assert await run.begun(whole.left.in_order("/ballot/")[0])
        assert await run.kill()
        await system.flush_redis()
        left = await run.ended()
        whole.compare(run, left)
        assert left.outcomes == ["lost", "succeeded"]


async def test_a_killed_postgres_changes_nothing(
    own_migrated_postgres: EmbeddedPostgres, own_valkey: EmbeddedValkey
) -> None:
    url = own_migrated_postgres.url("parley")
    async with (
        running_system(database_url=url, redis=own_valkey, **SETTINGS) as system,  # type: ignore[arg-type]
        runs_of(system, seed=7) as runs,
    ):
        whole = await runs.whole(config(7))

        async def kill() -> None:
            system.history.fault("SIGKILL postgres")
            await asyncio.to_thread(own_migrated_postgres.kill)
            await asyncio.sleep(2.0)
            await asyncio.to_thread(own_migrated_postgres.start)

        run = await broken(whole, runs, kill)
        left = await run.ended()
        whole.compare(run, left, known=False)
        print(f"attempts: {left.outcomes}")


async def test_a_run_waits_for_a_provider_that_is_away_for_5_s(run_system: RunSystem) -> None:
    async with run_system(**SETTINGS, proxied=True) as system, runs_of(system, seed=8) as runs:
        whole = await runs.whole(config(8))
        provider = system.proxy("provider")

        async def away() -> None:
            provider.refusing = True
            provider.cut()
            await asyncio.sleep(5.0)
            provider.refusing = False

        run = await broken(whole, runs, away)
        left = await run.ended()
        whole.compare(run, left, provider_fails=True)
        assert left.outcomes == ["succeeded"]


async def test_a_run_whose_provider_stays_away_fails_and_goes_on_when_it_is_resumed(
    run_system: RunSystem,
) -> None:
    async with run_system(**SETTINGS, proxied=True) as system, runs_of(system, seed=9) as runs:
        whole = await runs.whole(config(9))
        provider = system.proxy("provider")

        async def away() -> None:
            provider.refusing = True
            provider.cut()

        run = await broken(whole, runs, away)
        failed = await run.ended()
        assert failed.status == "failed"
        assert failed.job["error"]["code"].startswith("provider_"), failed.job["error"]
        assert failed.events[-1]["type"] == "error"
        assert failed.events[-1]["data"]["code"] == failed.job["error"]["code"]
        assert failed.follower.types[-1] == "error"
        assert 0 < len(failed.steps) < len(whole.left.steps)
        provider.refusing = False
        resumed = await runs.http.post(f"{run.path}/resume", json={})
        assert resumed.status_code == 202, resumed.text
        run.go_on_following()
        left = await run.ended()
        whole.compare(run, left, known=False, provider_fails=True)
        assert left.outcomes == ["failed", "succeeded"]
        answered = {path: step for path, step in failed.steps.items() if step["answered_at"] is not None}
        assert {path: left.steps[path] for path in answered} == answered
