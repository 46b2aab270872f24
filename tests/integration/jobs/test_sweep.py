"""What heals by itself: wake-ups, suspects, marks; and what goes when it has expired."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from shared.database.advisory_locks import AdvisoryLock
from shared.jobs import sweep as sweeping
from shared.jobs.job import Job, lease_member
from shared.jobs.statements import statement
from shared.jobs.states import JobKind, Phase, Status
from shared.jobs.sweep import Sweep
from shared.jobs.wakeups import Wakeups
from shared.metrics.jobs import SWEPT
from shared.metrics.registry import REGISTRY
from shared.settings import Settings
from tests.integration.jobs.faults import Faults, faulty_redis
from tests.integration.jobs.house import House, WakeupLog
from tests.support.proxy import Proxy, redis_address


async def test_missing_wakeups_are_made_up_to_the_number_of_runnable_jobs(house: House) -> None:
    for _ in range(3):
        await house.queue(house.ada)
    await house.queue(house.ada, kind=JobKind.QUERY)
    await house.wakeups.send(JobKind.CHAT, None)
    await house.sweep.sweep()
    assert house.wakeups.queued == {JobKind.CHAT: 3, JobKind.QUERY: 1}
    await house.sweep.sweep()
    assert house.wakeups.queued == {JobKind.CHAT: 3, JobKind.QUERY: 1}


async def test_one_sweeps_at_a_time(house: House) -> None:
    await house.queue(house.ada)
    async with house.engine.begin() as other:
        await other.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": AdvisoryLock.SWEEP})
        assert not await house.sweep.sweep()
        assert not house.wakeups.sent
    assert await house.sweep.sweep()


async def test_a_sweeper_that_is_stuck_is_found_as_the_guide_says(house: House) -> None:
    guide = (Path(__file__).resolve().parents[3] / "docs/operations.md").read_text()
    found = re.search(r"`(SELECT pid, [^`]+ FROM pg_locks [^`]+)`", guide)
    assert found is not None
    async with house.engine.begin() as stuck:
        await stuck.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": AdvisoryLock.SWEEP})
        own = (await stuck.execute(text("SELECT pg_backend_pid()"))).scalar()
        assert [row["pid"] for row in await house.rows(found.group(1))] == [own]
    assert await house.rows(found.group(1)) == []


async def test_a_mark_whose_message_was_lost_is_told_again(house: House) -> None:
    job = await house.claimed()
    await house.do("UPDATE jobs SET cancel_requested_at = now() WHERE id = :id", id=job.id)
    await house.leases.hold([job.lease])
    await house.sweep.sweep()
    assert (await house.leases.renew([job.lease])).flagged == [job.lease]


async def test_a_marked_job_that_nobody_holds_is_ended(house: House) -> None:
    job = await house.claimed()
    await house.do("UPDATE jobs SET cancel_requested_at = now() WHERE id = :id", id=job.id)
    await house.lose(job)
    await house.sweep.sweep()
    now = await house.job(job.id)
    assert (now.phase, now.status, now.attempt) == (Phase.ENDED, Status.CANCELLED, 2)
    assert await house.store.claim(JobKind.CHAT, "w") is None


async def test_one_mark_that_cannot_be_carried_out_holds_up_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [await house.accepted() for _ in range(3)]
    await house.do("UPDATE jobs SET cancel_requested_at = now()")
    await house.queue(house.ada)
    enforce = house.canceller.enforce

    async def fail_once(job: Job) -> None:
        if job.id == jobs[0].id:
            raise OperationalError("…", None, Exception("deadlock detected"))
        await enforce(job)

    monkeypatch.setattr(house.canceller, "enforce", fail_once)
    await house.sweep.sweep()
    assert [(await house.job(job.id)).ended for job in jobs] == [False, True, True]
    assert house.wakeups.queued[JobKind.CHAT] == 1


async def test_with_redis_away_marked_jobs_are_ended_all_the_same(house: House, redis_url: str) -> None:
    faults = Faults()
    client = faulty_redis(redis_url, faults)
    away = House(house.engine, client, house.settings)
    job, queued = await house.accepted(), await house.queue(house.ada)
    await house.do("UPDATE jobs SET cancel_requested_at = now() WHERE id = :id", id=job.id)
    faults.refusing = True
    assert await away.sweep.sweep()
    assert (await house.job(job.id)).status is Status.CANCELLED
    assert away.wakeups.queued[queued.kind] == 1
    await client.aclose()


async def test_flags_of_attempts_that_are_over_are_forgotten(house: House) -> None:
    job = await house.claimed()
    stale = lease_member(UUID(int=1), 1)
    await house.leases.flag(stale)
    await house.leases.flag(job.lease)
    await house.sweep.sweep()
    assert await house.redis.smembers(house.leases.cancels) == {job.lease.encode()}


async def test_what_has_expired_goes_and_nothing_else(house: House) -> None:
    kept = await house.accepted(once=house.once("new"))
    old = await house.accepted(once=house.once("old"))
    await house.do(
        "UPDATE idempotency_keys SET created_at = now() - interval '1 day 1 minute' WHERE key = 'old'"
    )
    await house.queue(house.ada)
    for age in ("2 hours", "10 minutes"):
        await house.queue(house.ada)
        job = await house.claim()
        while job.conversation_id is not None:
            job = await house.claim()
        await house.end(job)
        await house.do(f"UPDATE jobs SET ended_at = now() - interval '{age}' WHERE id = :id", id=job.id)
    before = {row["id"] for row in await house.rows("SELECT id FROM jobs")}
    await house.sweep.sweep()
    left = {row["id"] for row in await house.rows("SELECT id FROM jobs")}
    assert len(before - left) == 1
    assert {kept.id, old.id} <= left
    assert await house.rows("SELECT key FROM idempotency_keys") == [{"key": "new"}]


async def test_traces_go_when_they_have_been_kept_long_enough(house: House) -> None:
    kept = {}
    for name, age in (("old", house.settings.trace_retention + 60), ("young", 60)):
        job = await house.queue(house.ada)
        kept[name] = job.id
        await house.do(
            "INSERT INTO turn_traces (job_id, owner_id, attempt, trace, created_at) "
            "VALUES (:job, :owner, 1, '{}', now() - make_interval(secs => :age))",
            job=job.id,
            owner=house.ada,
            age=age,
        )
    await house.sweep.sweep()
    assert await house.rows("SELECT job_id FROM turn_traces") == [{"job_id": kept["young"]}]
    assert len(await house.rows("SELECT id FROM jobs")) == 2


async def test_expired_traces_are_found_by_their_index(house: House) -> None:
    async with house.engine.begin() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await connection.execute(
            text(f"EXPLAIN {statement('expire_traces').text}"), {"trace_retention": 3600}
        )
        assert "ix_turn_traces_created" in "\n".join(plan.scalars())


async def test_a_deleted_conversation_goes_when_nothing_writes_to_it(house: House) -> None:
    job = await house.claimed()
    await house.do("UPDATE conversations SET deleted_at = now()")
    await house.sweep.sweep()
    assert await house.rows("SELECT id FROM conversations")
    await house.end(job)
    await house.sweep.sweep()
    for table in ("conversations", "messages", "jobs", "attempts"):
        assert await house.rows(f"SELECT * FROM {table}") == []


def swept() -> float:
    """When this process last finished a sweep, as the alert reads it."""
    at = REGISTRY.get_sample_value("parley_sweep_timestamp_seconds")
    assert at is not None
    return at


@pytest.mark.parametrize("fault", ["refuses", "is silent"])
async def test_a_broker_that_is_away_holds_up_wakeups_and_nothing_else(
    house: House, redis_url: str, fault: str
) -> None:
    """The broker's library raises errors that are neither Redis's nor the system's."""
    marked, expired = await house.accepted(), await house.accepted(once=house.once("old"))
    await house.do("UPDATE jobs SET cancel_requested_at = now() WHERE id = :id", id=marked.id)
    await house.do("UPDATE idempotency_keys SET created_at = now() - interval '2 days'")
    SWEPT.set(0)
    async with Proxy.to(redis_address(redis_url)) as broker:
        settings = house.settings.model_copy(
            update={"broker_url": f"redis://127.0.0.1:{broker.port}/0", "sweep_interval": 0.5}
        )
        wakeups = Wakeups(settings)
        try:
            if fault == "refuses":
                broker.refusing = True
            else:
                broker.stall()
            sweep = Sweep(house.store, house.leases, wakeups, house.canceller, settings)
            assert await sweep.sweep()
            assert await house.rows("SELECT key FROM idempotency_keys") == []
            assert (await house.job(marked.id)).status is Status.CANCELLED
            assert swept() == 0
            broker.refusing = False
            broker.resume()
            # Whoever waited for the silent broker's answers has given up by then.
            async with asyncio.timeout(30):
                while not swept():
                    assert await sweep.sweep()
            assert await wakeups.waiting(JobKind.CHAT) == 1
            assert (await house.job(expired.id)).phase is Phase.READY
        finally:
            # Nothing of it is to come late, and be found by another test.
            for threads in (wakeups._threads, wakeups._asking):
                await asyncio.to_thread(threads.shutdown)
            wakeups.close()


async def test_without_jobs_that_wait_a_broker_that_is_away_is_not_missed(house: House) -> None:
    SWEPT.set(0)
    wakeups = Wakeups(house.settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"}))
    try:
        assert await Sweep(house.store, house.leases, wakeups, house.canceller, house.settings).sweep()
    finally:
        wakeups.close()
    assert swept() > 0


async def test_one_expiry_that_fails_undoes_no_other(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.accepted(once=house.once("old"))
    await house.do("UPDATE idempotency_keys SET created_at = now() - interval '2 days'")
    monkeypatch.setitem(sweeping._EXPIRE, "expire_jobs", text("DELETE FROM jobs WHERE id = 1 / 0"))
    SWEPT.set(0)
    assert await house.sweep.sweep()
    assert await house.rows("SELECT key FROM idempotency_keys") == []
    assert len(house.wakeups.sent) == 1
    assert swept() == 0


async def test_what_has_expired_goes_some_at_a_time(house: House) -> None:
    """Thousands that expired while nobody swept hold up nobody else."""
    await house.do(
        "INSERT INTO idempotency_keys (owner_id, route, key, body_hash, created_at) "
        "SELECT :owner, 'r', 'key ' || n, '', now() - interval '2 days' FROM generate_series(1, 1500) n",
        owner=house.ada,
    )
    await house.do(
        "INSERT INTO jobs (id, kind, owner_id, phase, status, attempt, failures, on_disconnect, payload, "
        "parent_given, created_at, ended_at) "
        "SELECT gen_random_uuid(), 'query', :owner, 'ended', 'succeeded', 1, 0, 'continue', '{}', "
        "false, now() - interval '3 days', now() - interval '2 days' "
        "FROM generate_series(1, 1500)",
        owner=house.ada,
    )
    for left in (500, 0):
        await house.sweep.sweep()
        for table in ("idempotency_keys", "jobs"):
            assert (await house.row(f"SELECT count(*) AS n FROM {table}"))["n"] == left


@pytest.mark.parametrize(
    ("name", "index"), [("expire_idempotency", "ix_idempotency_created"), ("expire_jobs", "ix_jobs_expiry")]
)
async def test_what_has_expired_is_found_by_its_index(house: House, name: str, index: str) -> None:
    kept = {"idempotency_retention": 3600, "event_retention": 3600}
    async with house.engine.begin() as connection:
        # Without rows the planner has no reason to prefer it.
        for other in ("seqscan", "bitmapscan", "sort"):
            await connection.execute(text(f"SET LOCAL enable_{other} = off"))
        plan = await connection.execute(text(f"EXPLAIN {statement(name).text}"), kept)
        assert index in "\n".join(plan.scalars())


@pytest.mark.parametrize("made", ["twin", "real"])
async def test_wakeups_wait_until_they_are_taken(made: str, settings: Settings) -> None:
    """The contract of the wake-ups and of their twin."""
    wakeups = WakeupLog() if made == "twin" else Wakeups(settings)
    try:
        assert await wakeups.waiting(JobKind.CHAT) == 0
        assert await wakeups.send(JobKind.CHAT, UUID(int=1))
        assert await wakeups.send(JobKind.CHAT, None, 2)
        assert await wakeups.send(JobKind.QUERY, UUID(int=2))
        assert await wakeups.waiting(JobKind.CHAT) == 3
        assert await wakeups.waiting(JobKind.QUERY) == 1
        assert await wakeups.waiting(JobKind.EXPERIMENT) == 0
    finally:
        wakeups.close()


async def test_a_wakeup_tells_nothing_but_a_label(settings: Settings, house: House) -> None:
    wakeups = Wakeups(settings)
    job = await house.accepted(message="a secret question", secret=b"a secret key")
    try:
        await wakeups.send(job.kind, job.id)
        [key] = [key async for key in house.redis.scan_iter(_type="LIST") if key.endswith(b"parley.chat")]
        [message] = await house.redis.lrange(key, 0, -1)
    finally:
        wakeups.close()
    assert b"secret" not in message
    assert str(job.id).encode() in message


async def test_a_wakeup_that_cannot_be_sent_is_no_error(settings: Settings) -> None:
    wakeups = Wakeups(settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"}))
    try:
        assert not await wakeups.send(JobKind.CHAT, None)
    finally:
        wakeups.close()
