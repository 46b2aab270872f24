"""Calls in flight: limited over all workers, handed out fairly, never lost with a worker or with Redis."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis

from shared.jobs.job import lease_member
from shared.jobs.permits import Permits
from tests.integration.jobs.faults import Faults, faulty_redis

CONNECTION = UUID(int=1)
NAMESPACE = "parley"


@pytest.fixture
def permits(redis: Redis) -> Permits:
    return Permits(redis, NAMESPACE, 3.0)


def member(job: int, call: int = 0) -> str:
    return f"{lease_member(UUID(int=job), 1)}:{call}"


async def held(redis: Redis) -> int:
    return int(await redis.zcard(f"{NAMESPACE}:permits:{CONNECTION}"))


async def test_the_limit_holds_over_all_workers(redis: Redis) -> None:
    workers = [Permits(redis, NAMESPACE, 3.0) for _ in range(3)]
    most = now = 0

    async def call(worker: Permits, job: int) -> None:
        nonlocal most, now
        async with worker.permit(CONNECTION, 4, lease_member(UUID(int=job), 1)):
            now += 1
            most = max(most, now)
            assert await held(redis) <= 4
            await asyncio.sleep(0.005)
            now -= 1

    async with asyncio.timeout(30):
        await asyncio.gather(*(call(workers[n % 3], n) for n in range(30)))
    assert most == 4
    assert await held(redis) == 0
    assert await redis.zcard(f"{NAMESPACE}:permits:{CONNECTION}:line") == 0


async def test_without_a_limit_nothing_is_asked(permits: Permits, redis: Redis) -> None:
    async with permits.permit(CONNECTION, None, "x:1"), permits.permit(None, 5, "x:1"):
        assert await redis.keys("*") == []


async def test_connections_are_limited_each_for_itself(permits: Permits) -> None:
    assert await permits.try_acquire(CONNECTION, 1, member(1))
    assert not await permits.try_acquire(CONNECTION, 1, member(2))
    assert await permits.try_acquire(uuid4(), 1, member(2))


async def test_the_next_permit_goes_to_who_came_first(permits: Permits) -> None:
    assert await permits.try_acquire(CONNECTION, 1, member(1))
    for job in (2, 3):
        assert not await permits.try_acquire(CONNECTION, 1, member(job))
    await permits.release(CONNECTION, member(1))
    assert not await permits.try_acquire(CONNECTION, 1, member(3))
    assert await permits.try_acquire(CONNECTION, 1, member(2))


async def test_but_before_that_to_the_job_that_holds_the_fewest(permits: Permits) -> None:
    """An experiment with many calls does not keep a chat waiting."""
    for call in range(3):
        assert await permits.try_acquire(CONNECTION, 3, member(1, call))
    assert not await permits.try_acquire(CONNECTION, 3, member(1, 3))
    assert not await permits.try_acquire(CONNECTION, 3, member(2))
    await permits.release(CONNECTION, member(1, 0))
    assert not await permits.try_acquire(CONNECTION, 3, member(1, 3))
    assert await permits.try_acquire(CONNECTION, 3, member(2))


async def test_two_that_are_free_go_to_two(permits: Permits) -> None:
    for job in (1, 2):
        assert await permits.try_acquire(CONNECTION, 2, member(job))
    for job in (3, 4, 5):
        assert not await permits.try_acquire(CONNECTION, 2, member(job))
    for job in (1, 2):
        await permits.release(CONNECTION, member(job))
    assert not await permits.try_acquire(CONNECTION, 2, member(5))
    assert await permits.try_acquire(CONNECTION, 2, member(4))
    assert await permits.try_acquire(CONNECTION, 2, member(3))
    assert not await permits.try_acquire(CONNECTION, 2, member(5))


async def test_asking_again_takes_no_second_permit(permits: Permits, redis: Redis) -> None:
    """The reply to the first question may have been lost."""
    for _ in range(3):
        assert await permits.try_acquire(CONNECTION, 2, member(1))
    assert await held(redis) == 1


async def test_permits_of_the_dead_expire_and_so_do_their_places_in_the_line(redis: Redis) -> None:
    dead, alive = Permits(redis, NAMESPACE, 0.05), Permits(redis, NAMESPACE, 3.0)
    assert await dead.try_acquire(CONNECTION, 1, member(1))
    assert not await dead.try_acquire(CONNECTION, 1, member(2))
    async with asyncio.timeout(5):
        while not await alive.try_acquire(CONNECTION, 1, member(3)):
            await asyncio.sleep(0.01)
    assert await held(redis) == 1


async def test_those_of_the_living_are_renewed(redis: Redis) -> None:
    one, other = Permits(redis, NAMESPACE, 0.2), Permits(redis, NAMESPACE, 0.2)
    assert await one.try_acquire(CONNECTION, 1, member(1))
    for _ in range(8):
        await asyncio.sleep(0.05)
        await one.renew()
        assert not await other.try_acquire(CONNECTION, 1, member(2))


async def test_what_redis_lost_is_taken_again_over_the_limit(redis: Redis, permits: Permits) -> None:
    other = Permits(redis, NAMESPACE, 3.0)
    assert await permits.try_acquire(CONNECTION, 1, member(1))
    await redis.flushall()
    assert await other.try_acquire(CONNECTION, 1, member(2))
    await permits.renew()
    assert await held(redis) == 2
    await permits.release(CONNECTION, member(1))
    assert not await permits.try_acquire(CONNECTION, 1, member(3))
    await other.release(CONNECTION, member(2))
    assert await permits.try_acquire(CONNECTION, 1, member(3))


async def test_a_given_back_permit_is_not_renewed(redis: Redis, permits: Permits) -> None:
    async with permits.permit(CONNECTION, 1, "a:1"):
        await permits.renew()
        assert await held(redis) == 1
    await permits.renew()
    assert await held(redis) == 0


async def test_who_is_cancelled_in_the_line_leaves_it(redis: Redis, permits: Permits) -> None:
    assert await permits.try_acquire(CONNECTION, 1, member(1))

    async def call() -> None:
        async with permits.permit(CONNECTION, 1, lease_member(UUID(int=2), 1)):
            raise AssertionError("there is no permit")

    waiting = asyncio.create_task(call())
    async with asyncio.timeout(5):
        while not await redis.zcard(f"{NAMESPACE}:permits:{CONNECTION}:line"):
            await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert await redis.zcard(f"{NAMESPACE}:permits:{CONNECTION}:line") == 0
    await permits.release(CONNECTION, member(1))
    assert await permits.try_acquire(CONNECTION, 1, member(3))


async def test_a_call_is_made_when_redis_does_not_answer(redis_url: str, redis: Redis) -> None:
    faults = Faults()
    client = faulty_redis(redis_url, faults)
    permits = Permits(client, NAMESPACE, 3.0)
    faults.refusing = True
    async with permits.permit(CONNECTION, 1, "a:1"):
        faults.refusing = False
        await permits.renew()
        assert await held(redis) == 1
    assert await held(redis) == 0
    await client.aclose()
