"""Who is served next: the owner with the fewest running jobs, then the oldest job, however long the queue."""

from __future__ import annotations

import asyncio
import re
import time
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from shared.jobs.statements import statement
from shared.jobs.states import JobKind, Outcome, Phase, Status
from shared.jobs.store import CLAIM_BEHIND, CLAIM_FAIR, SAMPLED, JobStore, claim_statement
from shared.settings import Settings
from tests.integration.jobs.house import WORKER, House
from workers.jobs.turns import brought_along


async def test_the_oldest_job_first(house: House) -> None:
    jobs = [await house.queue(house.ada) for _ in range(4)]
    assert [(await house.claim()).id for _ in jobs] == [job.id for job in jobs]
    assert await house.store.claim(JobKind.CHAT, WORKER) is None


async def test_the_owner_with_the_fewest_running_jobs_first(house: House) -> None:
    eve = await house.owner()
    first = [await house.queue(house.ada) for _ in range(3)]
    second = [await house.queue(eve) for _ in range(2)]
    order = [(await house.claim()).id for _ in range(5)]
    assert order == [first[0].id, second[0].id, first[1].id, second[1].id, first[2].id]


async def test_an_owner_whose_job_ended_counts_as_idle_again(house: House) -> None:
    eve = await house.owner()
    await house.queue(house.ada)
    running = await house.claim()
    mine, hers = await house.queue(house.ada), await house.queue(eve)
    await house.end(running)
    assert [(await house.claim()).id for _ in range(2)] == [mine.id, hers.id]


async def test_jobs_of_another_kind_count_nothing(house: House) -> None:
    eve = await house.owner()
    for _ in range(3):
        await house.queue(house.ada, kind=JobKind.QUERY)
        await house.claim(JobKind.QUERY)
    mine, hers = await house.queue(house.ada), await house.queue(eve)
    assert [(await house.claim()).id for _ in range(2)] == [mine.id, hers.id]
    assert await house.store.claim(JobKind.QUERY, WORKER) is None


async def test_the_claim_takes_the_next_attempt_and_says_who_holds_it(house: House) -> None:
    queued = await house.queue(house.ada)
    job = await house.claim(worker="host:7")
    assert (job.id, job.attempt, job.phase, job.status) == (queued.id, 1, Phase.HELD, Status.RUNNING)
    assert job.started_at is not None
    row = await house.row("SELECT * FROM attempts")
    assert (row["job_id"], row["attempt"], row["worker"], row["outcome"]) == (job.id, 1, "host:7", None)
    await house.lose(job)
    again = await house.claim(worker="host:8")
    assert (again.attempt, again.started_at) == (2, job.started_at)
    assert await house.attempts(job.id) == {1: Outcome.LOST, 2: None}


async def test_a_lost_job_keeps_its_place(house: House) -> None:
    first, second = await house.queue(house.ada), await house.queue(house.ada)
    await house.lose(await house.claim())
    assert [(await house.claim()).id for _ in range(2)] == [first.id, second.id]


@pytest.mark.parametrize("phase", [Phase.WAITING, Phase.HELD, Phase.ENDED])
async def test_only_ready_jobs_are_claimed(house: House, phase: Phase) -> None:
    job = await house.queue(house.ada)
    await house.do("UPDATE jobs SET phase = CAST(:phase AS text) WHERE id = :id", phase=phase, id=job.id)
    assert await house.store.claim(JobKind.CHAT, WORKER) is None


async def test_a_marked_job_is_never_claimed(house: House) -> None:
    job = await house.queue(house.ada)
    await house.do("UPDATE jobs SET cancel_requested_at = now() WHERE id = :id", id=job.id)
    assert await house.store.claim(JobKind.CHAT, WORKER) is None
    assert await house.store.runnable() == {}


async def test_a_locked_head_is_passed_over_for_the_next_owner(house: House) -> None:
    eve = await house.owner()
    locked, hers = await house.queue(house.ada), await house.queue(eve)
    async with house.engine.begin() as other:
        await other.execute(text("SELECT 1 FROM jobs WHERE id = :id FOR UPDATE"), {"id": locked.id})
        assert (await house.claim()).id == hers.id
        assert await house.store.claim(JobKind.CHAT, WORKER) is None
    assert (await house.claim()).id == locked.id


async def test_when_every_head_is_locked_the_job_behind_one_is_claimed(house: House) -> None:
    locked, behind = await house.queue(house.ada), await house.queue(house.ada)
    async with house.engine.begin() as other:
        await other.execute(text("SELECT 1 FROM jobs WHERE id = :id FOR UPDATE"), {"id": locked.id})
        assert (await house.claim()).id == behind.id


async def test_claims_at_the_same_time_take_different_jobs(house: House) -> None:
    owners = [house.ada, *[await house.owner() for _ in range(3)]]
    jobs = {(await house.queue(owners[n % 4])).id for n in range(12)}
    claimed = await asyncio.gather(*(house.store.claim(JobKind.CHAT, f"worker {n}") for n in range(12)))
    assert {job.id for job in claimed if job is not None} == jobs
    assert all(job is not None and job.attempt == 1 for job in claimed)


async def _long_queue(house: House, owners: list[UUID], jobs: int) -> None:
    await house.do(
        """
        INSERT INTO jobs (id, kind, owner_id, phase, status, attempt, failures, on_disconnect, payload,
                          parent_given, ready_at)
        SELECT gen_random_uuid(), 'chat', (CAST(:owners AS uuid[]))[1 + n % :count], 'ready', 'queued', 0, 0,
               'continue', '{}', false, clock_timestamp() + n * interval '1 microsecond'
        FROM generate_series(1, :jobs) n
        """,
        owners=owners,
        count=len(owners),
        jobs=jobs,
    )
    async with house.engine.connect() as connection:
        raw = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await raw.execute(text("ANALYZE jobs"))


@pytest.mark.parametrize("people", [1, 40])
async def test_ten_thousand_queued_jobs_do_not_slow_the_claim(house: House, people: int) -> None:
    owners = [house.ada, *[await house.owner() for _ in range(people - 1)]]
    await _long_queue(house, owners, 10_000)
    for picked in (CLAIM_FAIR, CLAIM_BEHIND):
        async with house.engine.connect() as connection:
            parameters = {
                "kind": "chat",
                "worker": WORKER,
                "owner_running": 150,
                "sampled": SAMPLED,
                "place": uuid4(),
            }
            explained = text(f"EXPLAIN (ANALYZE, TIMING OFF) {claim_statement(picked, None).text}")
            plan = "\n".join((await connection.execute(explained, parameters)).scalars())
            await connection.rollback()
        assert "Seq Scan on jobs" not in plan, plan
        assert "ix_jobs_claim" in plan or "ix_jobs_oldest" in plan, plan
    times = []
    for _ in range(20):
        began = time.perf_counter()
        assert await house.store.claim(JobKind.CHAT, WORKER) is not None
        times.append(time.perf_counter() - began)
    # Loosely: a scan and sort of the queue takes ten times as long.
    assert sorted(times)[10] < 0.05, times


async def _owners(house: House, count: int, *, running: int, waiting: int) -> list[UUID]:
    """Owners with so many running jobs and so many that wait, each."""
    made = [uuid4() for _ in range(count)]
    await house.do(
        "INSERT INTO users (id, name, is_admin) "
        "SELECT id, 'u-' || id, false FROM unnest(CAST(:ids AS uuid[])) id",
        ids=made,
    )
    for phase, status, jobs in (("held", "running", running), ("ready", "queued", waiting)):
        await house.do(
            """
            INSERT INTO jobs (id, kind, owner_id, phase, status, attempt, failures, on_disconnect, payload,
                              parent_given, ready_at)
            SELECT gen_random_uuid(), 'chat', id, :phase, :status, 0, 0, 'continue', '{}', false,
                   clock_timestamp()
            FROM unnest(CAST(:ids AS uuid[])) id, generate_series(1, :jobs)
            """,
            ids=made,
            phase=phase,
            status=status,
            jobs=jobs,
        )
    return made


async def _seen(house: House, place: UUID, running: int = 150) -> str:
    """The plan of a claim that begins at ``place``, as it ran."""
    explained = text(f"EXPLAIN (ANALYZE, TIMING OFF) {claim_statement(CLAIM_FAIR, None).text}")
    parameters = {
        "kind": "chat",
        "worker": WORKER,
        "owner_running": running,
        "sampled": SAMPLED,
        "place": place,
    }
    async with house.engine.connect() as connection:
        plan = "\n".join((await connection.execute(explained, parameters)).scalars())
        await connection.rollback()
    return plan


@pytest.mark.parametrize("place", [UUID(int=0), uuid4(), UUID(int=2**128 - 1)])
async def test_a_claim_looks_at_no_more_owners_when_thousands_wait(house: House, place: UUID) -> None:
    await _owners(house, 3_000, running=0, waiting=1)
    async with house.engine.connect() as connection:
        raw = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await raw.execute(text("ANALYZE jobs"))
    plan = await _seen(house, place)
    assert "Seq Scan on jobs" not in plan, plan
    rows = [
        int(float(number))
        for number in re.findall(r"CTE Scan on (?:walk|served)[^(]*\(.*?actual rows=([\d.]+)", plan)
    ]
    assert rows, plan
    assert max(rows) <= SAMPLED + 2, plan


async def test_nobody_starves_among_many(house: House) -> None:
    owners = await _owners(house, 3 * SAMPLED, running=0, waiting=1)
    claimed = [await house.store.claim(JobKind.CHAT, WORKER) for _ in owners]
    assert {job.owner_id for job in claimed if job is not None} == set(owners)
    assert await house.store.claim(JobKind.CHAT, WORKER) is None


async def test_owners_at_their_limit_hide_nobody(house: House) -> None:
    store = JobStore(house.engine, owner_running=2)
    await _owners(house, 2 * SAMPLED, running=2, waiting=1)
    free = await _owners(house, 3, running=1, waiting=2)
    claimed = [await store.claim(JobKind.CHAT, WORKER) for _ in free]
    assert {job.owner_id for job in claimed if job is not None} == set(free)
    assert await store.claim(JobKind.CHAT, WORKER) is None


async def test_among_few_the_fairest_is_taken_wherever_the_look_begins(house: House) -> None:
    await _owners(house, SAMPLED - 1, running=2, waiting=1)
    (fairest,) = await _owners(house, 1, running=1, waiting=1)
    for _ in range(5):
        job = await house.store.claim(JobKind.CHAT, WORKER)
        assert job is not None
        assert job.owner_id == fairest
        await house.do("UPDATE jobs SET phase = 'ready', status = 'queued' WHERE id = :id", id=job.id)


async def test_the_place_in_the_line(house: House) -> None:
    jobs = [await house.queue(house.ada) for _ in range(3)]
    assert [await house.store.queue_position(job.id) for job in jobs] == [0, 1, 2]
    running = await house.claim()
    assert await house.store.queue_position(running.id) is None
    assert await house.store.queue_position(jobs[2].id) == 1
    assert await house.store.queue_position(uuid4()) is None


async def test_how_many_could_be_claimed(house: House) -> None:
    for _ in range(3):
        await house.queue(house.ada)
    await house.queue(house.ada, kind=JobKind.QUERY)
    await house.claim()
    assert await house.store.runnable() == {JobKind.CHAT: 2, JobKind.QUERY: 1}


def test_the_claim_is_one_statement() -> None:
    """A claim that took two could hand out an attempt that nobody recorded."""
    along = brought_along(Settings()).query
    claims = [claim_statement(picked, along) for picked in (CLAIM_FAIR, CLAIM_BEHIND)]
    for sql in (*claims, statement("take_attempt")):
        assert ";" not in re.sub("--.*", "", sql.text)
        assert "INSERT INTO attempts" in sql.text
