"""Looking through an owner's jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import direct
from shared.jobs.job import Job
from shared.jobs.statements import statement
from shared.jobs.states import JobKind, Outcome
from shared.schemas.page import Position

_LIST = statement("list_jobs")
_BY_ID = text("SELECT * FROM jobs WHERE id = ANY(CAST(:ids AS uuid[]))")
_ATTEMPTS = text("SELECT * FROM attempts WHERE job_id = :job_id ORDER BY attempt")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One attempt at a job, as it was when it was read; ``outcome`` is ``None`` while it runs."""

    attempt: int
    worker: str
    started_at: datetime
    finished_at: datetime | None
    outcome: Outcome | None


async def list_jobs(
    engine: AsyncEngine,
    owner_id: UUID,
    *,
    limit: int,
    after: Position | None = None,
    kind: JobKind | None = None,
    status: str | None = None,
) -> Sequence[Job]:
    """The owner's jobs, newest first.

    Args:
        engine: Postgres.
        owner_id: whose.
        limit: how many at most.
        after: the place in the list behind which they begin.
        kind: of this kind only; ``None``: all but queries, which Parley makes by itself.
        status: as clients are told, ``cancelling`` included.
    """
    parameters = {
        "owner_id": owner_id,
        "kind": kind,
        "status": status,
        "created_at": after.created_at if after else None,
        "id": after.id if after else None,
        "limit": limit,
    }
    async with engine.connect() as connection:
        return [Job.from_row(row) for row in (await connection.execute(_LIST, parameters)).mappings()]


async def jobs_by_id(engine: AsyncEngine, ids: Sequence[UUID]) -> dict[UUID, Job]:
    """The jobs with these ids; whose they are, the caller knows."""
    if not ids:
        return {}
    rows = (await direct.execute(engine, _BY_ID, {"ids": list(ids)})).mappings()
    return {row["id"]: Job.from_row(row) for row in rows}


async def attempts(engine: AsyncEngine, job_id: UUID) -> list[Attempt]:
    """Every attempt at a job, oldest first."""
    async with engine.connect() as connection:
        rows = (await connection.execute(_ATTEMPTS, {"job_id": job_id})).mappings()
        return [
            Attempt(
                attempt=row["attempt"],
                worker=row["worker"],
                started_at=row["started_at"],
                finished_at=row["finished_at"],
                outcome=None if row["outcome"] is None else Outcome(row["outcome"]),
            )
            for row in rows
        ]
