"""A process that stood still asks Postgres before it calls a provider."""

from __future__ import annotations

import asyncio
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from shared.jobs.job import Job
from shared.jobs.job_stream import JobStream
from shared.jobs.store import AttemptLostError
from workers.jobs.running import RunningAttempt

TRUST = 3.0


class Postgres:
    """Says whether an attempt holds its job, and counts how often it was asked."""

    def __init__(self, answer: bool) -> None:
        self.answer = answer
        self.asked: list[tuple[UUID, int]] = []

    async def holds(self, job_id: UUID, attempt: int) -> bool:
        self.asked.append((job_id, attempt))
        return self.answer


class ClaimedJob:
    """As much of a job as an attempt looks at."""

    def __init__(self) -> None:
        self.id = uuid4()
        self.attempt = 2
        self.lease = f"{self.id}:2"


def attempt(postgres: Postgres, *, known_for: float) -> RunningAttempt:
    job = cast(Job, ClaimedJob())
    loop = asyncio.get_running_loop()
    ignore: Any = lambda _: None  # noqa: E731
    return RunningAttempt(
        job,
        JobStream(job, pending_limit=1, wake=ignore, now=loop.time()),
        known_at=loop.time() - known_for,
        holds=postgres.holds,
        trust=TRUST,
    )


async def test_what_was_known_just_now_is_not_asked_again() -> None:
    postgres = Postgres(False)
    await attempt(postgres, known_for=TRUST / 2).confirm()
    assert postgres.asked == []


async def test_a_holder_that_stood_still_goes_on_when_the_job_is_still_its_own() -> None:
    postgres = Postgres(True)
    mine = attempt(postgres, known_for=TRUST * 2)
    await mine.confirm()
    await mine.confirm()
    assert postgres.asked == [(mine.job.id, 2)]


async def test_a_holder_that_lost_its_job_while_it_stood_still_is_stopped() -> None:
    with pytest.raises(AttemptLostError):
        await attempt(Postgres(False), known_for=TRUST * 2).confirm()
