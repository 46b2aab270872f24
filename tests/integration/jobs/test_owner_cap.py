"""One owner's jobs do not take all slots: no more of a kind run at once than ``owner_running``, the others
wait, everybody else is served meanwhile, and what waits goes on the moment that one of them ends.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.engine import create_engine
from shared.jobs.job import Job
from shared.jobs.states import JobKind, Status
from shared.jobs.store import JobStore
from shared.settings import Settings
from tests.integration.jobs.house import WORKER, House

MOST = 3
KINDS = [JobKind.CHAT, JobKind.EXPERIMENT, JobKind.QUERY]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"owner_running": MOST})


async def running(house: House) -> Counter[UUID]:
    return Counter(
        row["owner_id"] for row in await house.rows("SELECT owner_id FROM jobs WHERE phase = 'held'")
    )


async def spend(house: House, kind: JobKind) -> list[Job]:
    """Workers take all the messages that wait; what they claim."""
    claimed = []
    while house.wakeups.take(kind):
        job = await house.store.claim(kind, WORKER)
        if job is not None:
            claimed.append(job)
    return claimed


@pytest.mark.parametrize("kind", KINDS)
async def test_an_owner_has_no_more_running_than_may_be_and_others_are_served(
    house: House, kind: JobKind
) -> None:
    eve = await house.owner()
    mine = [await house.queue(house.ada, kind=kind) for _ in range(MOST + 2)]
    assert [(await house.claim(kind)).id for _ in range(MOST)] == [job.id for job in mine[:MOST]]
    assert await house.store.claim(kind, WORKER) is None
    hers = await house.queue(eve, kind=kind)
    assert (await house.claim(kind)).id == hers.id
    assert await house.store.claim(kind, WORKER) is None


async def test_each_kind_has_its_own_number(house: House) -> None:
    for kind in KINDS:
        for _ in range(MOST + 1):
            await house.queue(house.ada, kind=kind)
    for kind in KINDS:
        assert [await house.store.claim(kind, WORKER) is not None for _ in range(MOST + 1)] == [True] * 3 + [
            False
        ]


async def test_zero_is_no_limit(house: House) -> None:
    for _ in range(MOST * 3):
        await house.queue(house.ada)
    store = JobStore(house.engine, 0)
    assert all([await store.claim(JobKind.CHAT, WORKER) for _ in range(MOST * 3)])


@pytest.mark.parametrize("kind", KINDS)
async def test_the_next_goes_on_the_moment_that_one_ends(house: House, kind: JobKind) -> None:
    mine = [await house.queue(house.ada, kind=kind) for _ in range(MOST + 2)]
    await house.wakeups.send(kind, None, len(mine))
    claimed = await spend(house, kind)
    assert len(claimed) == MOST
    for following in mine[MOST:]:
        await house.closer.wake(await house.end(claimed.pop(0)))
        [job] = await spend(house, kind)
        assert job.id == following.id
        claimed.append(job)
    # Nobody waits any more: nobody is woken.
    for job in claimed:
        await house.closer.wake(await house.end(job))
    assert not house.wakeups.queued[kind]


async def test_the_next_goes_on_when_several_end_in_one_moment(house: House) -> None:
    for _ in range(MOST * 2):
        await house.queue(house.ada)
    await house.wakeups.send(JobKind.CHAT, None, MOST * 2)
    claimed = await spend(house, JobKind.CHAT)
    ended = await asyncio.gather(*(house.end(job) for job in claimed))
    for finished in ended:
        await house.closer.wake(finished)
    assert len(await spend(house, JobKind.CHAT)) == MOST


async def test_the_next_goes_on_when_one_is_cancelled_or_fails_without_a_worker(house: House) -> None:
    for _ in range(MOST + 2):
        await house.queue(house.ada)
    await house.wakeups.send(JobKind.CHAT, None, MOST + 2)
    first, second, _ = await spend(house, JobKind.CHAT)
    await house.closer.end(first, Status.FAILED, {"code": "exhausted", "message": "…"})
    assert len(await spend(house, JobKind.CHAT)) == 1
    await house.do("UPDATE jobs SET cancel_requested_at = now() WHERE id = :id", id=second.id)
    marked = await house.job(second.id)
    await house.closer.cancel(marked)
    assert len(await spend(house, JobKind.CHAT)) == 1


async def test_what_may_not_run_yet_is_not_woken_by_the_sweep(house: House) -> None:
    eve = await house.owner()
    for _ in range(MOST + 2):
        await house.queue(house.ada)
    assert await house.store.runnable() == {JobKind.CHAT: MOST}
    claimed = [await house.claim() for _ in range(MOST)]
    assert await house.store.runnable() == {}
    await house.queue(eve)
    assert await house.store.runnable() == {JobKind.CHAT: 1}
    for _ in range(3):
        await house.sweep.sweep()
        assert house.wakeups.sent == [(JobKind.CHAT, None)]
    await house.end(claimed[0])
    assert await house.store.runnable() == {JobKind.CHAT: 2}


async def test_a_lost_job_makes_room_and_comes_first(house: House) -> None:
    mine = [await house.queue(house.ada) for _ in range(MOST + 1)]
    claimed = [await house.claim() for _ in range(MOST)]
    await house.lose(claimed[1])
    assert (await house.claim()).id == mine[1].id
    assert await house.store.claim(JobKind.CHAT, WORKER) is None


async def test_behind_locked_jobs_no_more_are_taken_than_may_be(house: House) -> None:
    """Claims that are under way count, though none of them sees the others."""
    mine = [await house.queue(house.ada) for _ in range(MOST + 2)]
    await house.claim()
    locked = [job.id for job in mine[1:MOST]]
    async with house.engine.begin() as other:
        await other.execute(text("SELECT 1 FROM jobs WHERE id = ANY(:ids) FOR UPDATE"), {"ids": locked})
        assert await house.store.claim(JobKind.CHAT, WORKER) is None
    assert (await house.claim()).id == locked[0]


@pytest.fixture
async def workers(house: House, settings: Settings, redis: Redis) -> AsyncIterator[list[House]]:
    """As many worker processes, with five connections each."""
    async with AsyncExitStack() as stack:

        async def another() -> House:
            engine: AsyncEngine = create_engine(settings.database_url)
            stack.push_async_callback(engine.dispose)
            return House(engine, redis, settings)

        yield [await another() for _ in range(4)]


async def test_claims_at_the_same_time_keep_to_it(house: House, workers: list[House]) -> None:
    """By twenty connections at once, while jobs end, are lost, and come in."""
    eve = await house.owner()
    for _ in range(30):
        await house.queue(house.ada)
    most: Counter[UUID] = Counter()
    done: Counter[UUID] = Counter()

    async def work(worker: House, number: int) -> None:
        while job := await worker.store.claim(JobKind.CHAT, WORKER):
            for owner, jobs in (await running(worker)).items():
                most[owner] = max(most[owner], jobs)
            if job.attempt == 1 and number % 4 == 0:
                await worker.lose(job)
            else:
                await worker.end(job)
                done[job.owner_id] += 1

    async def come_in() -> None:
        for _ in range(10):
            await house.queue(eve)

    for _ in range(60):
        await asyncio.gather(
            come_in() if not done else asyncio.sleep(0),
            *(work(worker, number) for number, worker in enumerate(workers * 5)),
        )
        if done.total() == 40:
            break
    assert done == {house.ada: 30, eve: 10}
    assert most[house.ada] == MOST
    assert most[eve] <= MOST


async def test_ten_thousand_jobs_that_are_held_back_do_not_slow_the_claim(house: House) -> None:
    eve = await house.owner()
    await house.do(
        "INSERT INTO jobs (id, kind, owner_id, phase, status, attempt, failures, on_disconnect, payload, "
        "parent_given, ready_at) "
        "SELECT gen_random_uuid(), 'chat', :owner, CASE WHEN n <= :most THEN 'held' ELSE 'ready' END, "
        "'queued', 0, 0, 'continue', '{}', false, clock_timestamp() + n * interval '1 microsecond' "
        "FROM generate_series(1, 10000) n",
        owner=house.ada,
        most=MOST,
    )
    async with house.engine.connect() as connection:
        raw = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await raw.execute(text("ANALYZE jobs"))
    clock = asyncio.get_running_loop().time
    times: list[float] = []
    for _ in range(20):
        began = clock()
        assert await house.store.claim(JobKind.CHAT, WORKER) is None
        times.append(clock() - began)
    # Loosely: one look at each of the ten thousand takes a hundred times as long.
    assert sorted(times)[10] < 0.05, times
    hers = await house.queue(eve)
    assert (await house.claim()).id == hers.id


async def test_an_owner_far_from_the_limit_costs_no_more_wakeups(house: House, settings: Settings) -> None:
    roomy: Any = House(house.engine, house.redis, settings.model_copy(update={"owner_running": 150}))
    for _ in range(5):
        await house.queue(house.ada)
    await roomy.closer.wake(await roomy.end(await roomy.claim()))
    assert not roomy.wakeups.sent
