"""Experiments as jobs: accepted in one transaction, resumed, ended by whoever, purged when deleted."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from shared.errors import IdempotencyKeyReusedError, JobNotEndedError, ValidationError
from shared.jobs.experiments import NewExperiment, accept_experiment, resume_experiment
from shared.jobs.job import Job
from shared.jobs.new_turn import Acceptance, Once
from shared.jobs.states import JobKind, Phase, Status
from shared.security.secrets import KeyedHash
from tests.integration.jobs.house import WORKER, House


def new(owner_id: UUID, **values: Any) -> NewExperiment:
    given: dict[str, Any] = {
        "name": "e",
        "profile": "human",
        "config": {"budget": {"calls": 5}, "text": "\x00nul"},
        "config_hash": "0" * 64,
        "seed": 1,
        "models": {"utility": None},
    }
    return NewExperiment(owner_id=owner_id, **{**given, **values})


async def accept(house: House, **values: Any) -> Acceptance:
    return await accept_experiment(house.engine, new(house.ada, **values))


async def counted(house: House, table: str) -> int:
    return int((await house.row(f"SELECT count(*) AS rows FROM {table}"))["rows"])


async def ended(house: House, status: Status) -> Job:
    """An experiment's job that was claimed and has ended."""
    await accept(house)
    job = await house.store.claim(JobKind.EXPERIMENT, WORKER)
    assert job is not None
    async with house.store.fenced(job) as transaction:
        return await transaction.end(status=status, error={"code": "x", "message": "x"})


async def test_what_is_accepted_is_all_there(house: House) -> None:
    accepted = await accept(house)
    assert (accepted.joined, accepted.position, accepted.job.phase) == (False, 0, Phase.READY)
    assert (await accept(house)).position == 1
    row = await house.row("SELECT * FROM experiments WHERE job_id = :id", id=accepted.job.id)
    assert accepted.job.payload == {"experiment_id": str(row["id"])}
    # Postgres keeps no NUL.
    assert (row["config"], row["changes"]) == ({"budget": {"calls": 5}, "text": "nul"}, None)


async def test_the_same_key_joins_and_another_body_is_refused(house: House) -> None:
    once = Once(route="r", key="k", body_hash=KeyedHash(b"1" * 32))
    first, second = await accept(house, once=once), await accept(house, once=once)
    assert (second.joined, second.job.id) == (True, first.job.id)
    with pytest.raises(IdempotencyKeyReusedError):
        await accept(house, once=Once(route="r", key="k", body_hash=KeyedHash(b"2" * 32)))
    assert await counted(house, "experiments") == 1


async def test_what_fails_leaves_nothing(house: House) -> None:
    source = (await accept(house)).job.payload["experiment_id"]
    once = Once(route="r", key="k", body_hash=KeyedHash(b"1" * 32))
    with pytest.raises(ValidationError, match="its group has not met"):
        await accept(house, kind="fork", source_id=UUID(source), fork_round=1, once=once)
    with pytest.raises(IntegrityError):
        await accept(house, kind="replay", source_id=uuid4(), once=once)
    assert (await counted(house, "experiments"), await counted(house, "jobs")) == (1, 1)
    assert await counted(house, "idempotency_keys") == 0


async def test_a_failed_run_is_resumed_with_its_budget(house: House) -> None:
    job = await ended(house, Status.FAILED)
    resumed = await resume_experiment(house.store, house.log, house.wakeups, job, {"calls": 9})  # type: ignore[arg-type]
    assert (resumed.phase, resumed.status, resumed.error) == (Phase.READY, Status.QUEUED, None)
    assert house.wakeups.sent[-1] == (JobKind.EXPERIMENT, job.id)
    row = await house.row("SELECT config FROM experiments WHERE job_id = :id", id=job.id)
    assert row["config"]["budget"] == {"calls": 9}
    # Once it queues again nobody changes it: neither who read it before, nor who reads it now.
    for known in (job, resumed):
        with pytest.raises(JobNotEndedError):
            await resume_experiment(house.store, house.log, house.wakeups, known, {"calls": 1})  # type: ignore[arg-type]
    row = await house.row("SELECT config FROM experiments WHERE job_id = :id", id=job.id)
    assert row["config"]["budget"] == {"calls": 9}


async def test_a_cancelled_run_ends_among_its_events_once(house: House) -> None:
    job = (await accept(house)).job
    assert await house.canceller.cancel(job.id) is not None
    await house.canceller.cancel(job.id)
    rows = await house.rows("SELECT number, attempt, type, data FROM experiment_events")
    assert [tuple(row.values()) for row in rows] == [(1, 1, "cancelled", {})]


async def test_a_run_that_ends_while_it_is_condemned_has_one_end(house: House) -> None:
    """The attempt that lost the race writes nothing."""
    await accept(house)
    job = await house.store.claim(JobKind.EXPERIMENT, WORKER)
    assert job is not None
    taken = await house.store.take(job, "reaper")
    assert taken is not None
    async with house.store.fenced(taken) as transaction:
        await transaction.end(status=Status.SUCCEEDED)
    assert await house.closer.end(taken, Status.FAILED) is None
    assert await counted(house, "experiment_events") == 0


async def test_what_was_deleted_goes_when_nobody_needs_it(house: House) -> None:
    job = await ended(house, Status.SUCCEEDED)
    source = UUID(job.payload["experiment_id"])
    replay = (await accept(house, kind="replay", source_id=source)).job
    kept = await ended_after(house, replay)
    await house.do("UPDATE experiments SET deleted_at = now() WHERE id = :id", id=source)
    await house.sweep.sweep()
    assert await counted(house, "experiments") == 2  # the replay reads its steps
    await house.do("UPDATE experiments SET deleted_at = now() WHERE job_id = :id", id=kept)
    await house.sweep.sweep()
    assert (await counted(house, "experiments"), await counted(house, "jobs")) == (0, 0)


async def ended_after(house: House, queued: Job) -> UUID:
    job = await house.store.claim(JobKind.EXPERIMENT, WORKER)
    assert job is not None
    assert job.id == queued.id
    async with house.store.fenced(job) as transaction:
        await transaction.end(status=Status.SUCCEEDED)
    return job.id


async def test_experiments_stay_when_other_jobs_expire(house: House) -> None:
    job = await ended(house, Status.SUCCEEDED)
    await house.do("UPDATE jobs SET ended_at = now() - interval '1 year' WHERE id = :id", id=job.id)
    await house.sweep.sweep()
    assert await counted(house, "experiments") == 1
