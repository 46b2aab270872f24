"""The simulated queue chooses what the claim's SQL chooses, whoever waits and whatever runs."""

from __future__ import annotations

import random
import uuid

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.models import User
from shared.jobs.states import JobKind
from shared.jobs.store import JobStore
from tests.simulation.queue import Cluster, Costs, FairQueue, Simulation, Turn
from tests.simulation.worlds import merged, poisson

_CAP = 4
_INSERT = text(
    "INSERT INTO jobs (id, kind, owner_id, phase, status, attempt, failures, on_disconnect, parent_given, "
    "payload, ready_at) VALUES (:id, 'chat', :owner, :phase, :status, 0, 0, 'continue', false, '{}', "
    "to_timestamp(:ready))"
)


@pytest.mark.parametrize("seed", range(4))
async def test_it_chooses_what_the_sql_chooses(engine: AsyncEngine, seed: int) -> None:
    rng = random.Random(seed)
    owners = [uuid.UUID(int=rng.getrandbits(128), version=4) for _ in range(6)]
    turns = [
        Turn(number, rng.randrange(6), 0.0, 1.0, ready=float(rng.randrange(10_000))) for number in range(40)
    ]
    ids = {turn.number: uuid.UUID(int=turn.number + 1) for turn in turns}
    queue = FairQueue(_CAP)
    async with engine.begin() as connection:
        for number, owner in enumerate(owners):
            await connection.execute(
                User.__table__.insert().values(id=owner, name=f"u{number}", is_admin=False)
            )
        for turn in turns:
            row = {"id": ids[turn.number], "owner": owners[turn.owner], "ready": turn.ready}
            await connection.execute(_INSERT, {**row, "phase": "ready", "status": "queued"})
    for turn in turns:
        queue.add(turn)
    store = JobStore(engine, owner_running=_CAP)
    running: list[Turn] = []
    for _ in range(200):
        if running and rng.random() < 0.4:
            over = running.pop(rng.randrange(len(running)))
            queue.ended(over.owner)
            async with engine.begin() as connection:
                ended = text("UPDATE jobs SET phase = 'ended', status = 'succeeded' WHERE id = :id")
                await connection.execute(ended, {"id": ids[over.number]})
            continue
        simulated = queue.take()
        claimed = await store.claim(JobKind.CHAT, "worker")
        assert (claimed and claimed.id) == (simulated and ids[simulated.number])
        if simulated:
            running.append(simulated)
    assert queue.size == 0


def test_no_turn_is_lost_when_workers_die() -> None:
    world = Simulation(Cluster(4, slots=10))
    world.arrive((n * 0.05, n % 7, 2.0) for n in range(400))
    world.at(8.0, lambda: world.kill([0, 1], back_after=5.0))
    world.run(120.0)
    assert len(world.turns) == 400
    assert all(turn.ended is not None for turn in world.turns)
    assert {turn.attempts for turn in world.turns} == {1, 2}
    assert world.running == 0
    assert world.free == [10] * 4


def test_what_died_is_taken_over_as_soon_as_the_protocol_says() -> None:
    world = Simulation(Cluster(10, slots=100))
    world.arrive(poisson(world.random, 30.0, 40.0))
    world.at(20.0, lambda: world.kill([0, 1, 2], back_after=20.0))
    world.run(60.0)
    again = [turn.began - 20.0 for turn in world.turns if turn.attempts == 2 and turn.began is not None]
    assert len(again) > 50
    assert 2.0 < min(again) < max(again) < 5.0


def test_a_seed_gives_the_same_day() -> None:
    days = []
    for _ in range(2):
        world = Simulation(Cluster(10, slots=100), seed=5)
        world.arrive(poisson(world.random, 30.0, 40.0))
        world.run(40.0)
        days.append([(turn.owner, turn.began, turn.ended) for turn in world.turns])
    assert days[0] == days[1]


def test_claims_that_look_at_all_who_wait_fall_behind_for_good_and_limited_ones_recover() -> None:
    """What docs/scale.md warns of: a rush of many owners makes claims so dear that the rush never ends."""
    left = {}
    for scanned in (None, 8):
        costs = Costs(claim_owner=0.0002, scanned=scanned)
        world = Simulation(Cluster(10, slots=100, cores=1, costs=costs))
        rush = ((10.0 + n / 1_000, 1_000_000 + n, 5.0) for n in range(2_000))
        world.arrive(merged(poisson(world.random, 40.0, 120.0), rush))
        world.run(120.0)
        left[scanned] = world.queue.size
    assert left[None] > 1_000
    assert left[8] < 50
