"""Signs of life: put, renewed, missed, condemned only after a whole TTL of prompt looks."""

from __future__ import annotations

from uuid import uuid4

from shared.jobs.job import Job, lease_member
from shared.jobs.lease_watch import LOOK_EVERY
from shared.jobs.reaper import Reaper
from shared.jobs.states import Outcome, Phase, Status
from tests.integration.jobs.conftest import TTL
from tests.integration.jobs.faults import Faults, faulty_redis
from tests.integration.jobs.house import House

#: As often as the reaper looks by itself.
PAUSE = TTL * LOOK_EVERY * 0.8


async def looks(house: House, seconds: float, *, renewing: Job | None = None) -> list[str]:
    """Look for ``seconds`` of the reaper's clock; what was condemned."""
    condemned = []
    until = house.clock.now + seconds
    while house.clock.now < until:
        if renewing is not None:
            await house.leases.renew([renewing.lease])
        condemned += await house.reaper.look()
        house.clock.pass_by(PAUSE)
    return condemned


async def held(house: House) -> Job:
    job = await house.claimed()
    await house.leases.hold([job.lease])
    return job


async def test_a_renewal_tells_what_it_did_not_find_and_who_is_to_be_cancelled(house: House) -> None:
    mine, lost = lease_member(uuid4(), 1), lease_member(uuid4(), 2)
    await house.leases.hold([mine])
    await house.leases.flag(mine)
    before = await house.leases.look()
    assert await house.leases.renew([mine, lost]) == ([lost], [mine])
    after = await house.leases.look()
    assert set(after) == {mine}
    assert after[mine] > before[mine]
    await house.leases.release([mine])
    assert await house.leases.look() == {}
    assert await house.leases.renew([mine]) == ([mine], [])


async def test_a_dead_attempt_is_condemned_within_a_ttl_and_two_looks(house: House) -> None:
    job = await held(house)
    await house.reaper.look()
    began = house.clock.now
    house.clock.pass_by(PAUSE)
    while not (condemned := await house.reaper.look()):
        house.clock.pass_by(PAUSE)
        assert house.clock.now - began <= TTL + 2 * PAUSE
    assert condemned == [job.lease]
    assert house.clock.now - began >= TTL
    now = await house.job(job.id)
    assert (now.phase, now.status, now.attempt, now.failures) == (Phase.READY, Status.QUEUED, 1, 1)
    assert now.last_failure is not None
    assert now.last_failure["code"] == "worker_lost"
    assert await house.attempts(job.id) == {1: Outcome.LOST}
    assert house.wakeups.woken == [job.id]
    assert await house.leases.look() == {}


async def test_a_living_attempt_never_is(house: House) -> None:
    job = await held(house)
    assert await looks(house, 5 * TTL, renewing=job) == []


async def test_a_paused_process_begins_its_watch_anew(house: House) -> None:
    await held(house)
    for _ in range(5):
        assert await looks(house, TTL * 0.9) == []
        # Nothing was seen for a while: whoever was alive then may have been all the time.
        house.clock.pass_by(10 * TTL)


async def test_a_late_answer_begins_the_watch_anew(house: House, redis_url: str) -> None:
    async def dawdle(name: str) -> None:
        house.clock.pass_by(TTL * 0.11)

    slow = faulty_redis(redis_url, Faults(dawdle))
    leases = type(house.leases)(slow, house.settings.namespace, TTL)
    reaper = Reaper(house.store, leases, house.wakeups, house.clock)  # type: ignore[arg-type]
    await held(house)
    for _ in range(20):
        assert await reaper.look() == []
        house.clock.pass_by(PAUSE / 2)
    await slow.aclose()


async def test_a_redis_that_refuses_condemns_nobody(house: House, redis_url: str) -> None:
    faults = Faults()
    client = faulty_redis(redis_url, faults)
    leases = type(house.leases)(client, house.settings.namespace, TTL)
    house.reaper = Reaper(house.store, leases, house.wakeups, house.clock)  # type: ignore[arg-type]
    job = await held(house)
    assert await looks(house, TTL * 0.9) == []
    faults.refusing = True
    assert await looks(house, 5 * TTL) == []
    faults.refusing = False
    # Its holders could not renew meanwhile: they get a whole TTL.
    assert await looks(house, TTL) == []
    assert await looks(house, 2 * PAUSE) == [job.lease]
    await client.aclose()


async def test_an_emptied_redis_condemns_nobody_who_puts_the_lease_back(house: House) -> None:
    job = await held(house)
    assert await looks(house, TTL * 0.9) == []
    await house.redis.flushall()
    await house.reaper.find_suspects()
    assert house.reaper.suspects == {job.lease}
    assert await looks(house, TTL * 0.9) == []
    await house.leases.hold([job.lease])
    assert await looks(house, 3 * TTL, renewing=job) == []


async def test_an_attempt_without_a_lease_is_condemned_after_the_sweep_found_it(house: House) -> None:
    """Its worker died, and Redis lost the lease."""
    job = await house.claimed()
    assert await looks(house, 3 * TTL) == []
    await house.reaper.find_suspects()
    assert await looks(house, TTL) == []
    assert await looks(house, 2 * PAUSE) == [job.lease]
    assert (await house.job(job.id)).phase is Phase.READY


async def test_a_lease_that_was_left_behind_is_cleared_away(house: House) -> None:
    """Its job ended, or went on to a newer attempt: nothing but the lease goes."""
    job = await held(house)
    await house.lose(job)
    second = await house.claim()
    await house.leases.hold([second.lease])
    assert await looks(house, 2 * TTL, renewing=second) == [job.lease]
    now = await house.job(job.id)
    assert (now.phase, now.attempt, now.failures) == (Phase.HELD, 2, 1)
    assert set(await house.leases.look()) == {second.lease}


async def test_reapers_in_every_process_condemn_once(house: House) -> None:
    job = await held(house)
    others = [Reaper(house.store, house.leases, house.wakeups, house.clock) for _ in range(2)]  # type: ignore[arg-type]
    for _ in range(10):
        for reaper in (house.reaper, *others):
            await reaper.look()
        house.clock.pass_by(PAUSE)
    assert (await house.job(job.id)).failures == 1
    assert house.wakeups.woken == [job.id]
