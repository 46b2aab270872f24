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
_END = text(
    "UPDATE turn_traces t SET trace = jsonb_set(t.trace, '{post_response}', to_jsonb(CAST(:state AS text))), "
    "updated_at = clock_timestamp() WHERE t.job_id = :job_id "
    "RETURNING jsonb_path_query_array(t.trace, '$.stages[*] ? (@.stage > 3).modules[*].name') AS modules, "
    "EXISTS (SELECT FROM module_states s WHERE s.job_id = t.job_id) "
    "OR EXISTS (SELECT FROM jobs j JOIN memories m USING (conversation_id) "
    "WHERE j.id = t.job_id AND m.job_id = t.job_id) AS state_updated"
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
        raise TraceNotFoundError("The turn has no trace; it is written together with the answer.")
    return found


async def end(connection: Connection, job_id: uuid.UUID, state: str) -> dict[str, Any]:
    """Keep what became of the stages after the answer; gives what the turn's outcome tells of them.

    That is ``modules``, the names of those that ran, and ``state_updated``; nothing when there is no trace.
    """
    row = (await connection.execute(_END, {"job_id": job_id, "state": state})).mappings().first()
    return {} if row is None else dict(row)
