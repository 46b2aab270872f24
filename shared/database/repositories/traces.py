"""Traces of turns."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import direct
from shared.database.direct import Connection
from shared.database.models import TurnTrace
from shared.errors import TraceNotFoundError
from shared.jobs.statements import as_json

_PUT = text(
    "INSERT INTO turn_traces (job_id, owner_id, attempt, trace) "
    "VALUES (:job_id, :owner_id, :attempt, CAST(:trace AS jsonb)) "
    "ON CONFLICT (job_id) DO UPDATE SET attempt = excluded.attempt, trace = excluded.trace, "
    "updated_at = clock_timestamp() WHERE turn_traces.attempt <= excluded.attempt"
)


async def put(
    connection: Connection, trace: dict[str, Any], *, job_id: uuid.UUID, owner_id: uuid.UUID, attempt: int
) -> None:
    """Write a turn's trace in place of the one before, unless that is of a newer attempt.

    It may wait for the next round trip.
    """
    parameters = {"job_id": job_id, "owner_id": owner_id, "attempt": attempt, "trace": as_json(trace)}
    await direct.write(connection, _PUT, parameters)


async def get(session: AsyncSession, owner_id: uuid.UUID, job_id: uuid.UUID) -> dict[str, Any]:
    """The trace of the owner's turn.

    Raises:
        TraceNotFoundError: there is none.
    """
    found: dict[str, Any] | None = await session.scalar(
        select(TurnTrace.trace).where(TurnTrace.job_id == job_id, TurnTrace.owner_id == owner_id)
    )
    if found is None:
        raise TraceNotFoundError
    return found
