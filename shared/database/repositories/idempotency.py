"""Requests that must not run twice: a record made in the transaction of what the request makes.

The insert of the record is the lock: a request with the same key that comes meanwhile waits for it, then
finds what the first one made. A transaction that rolls back takes its record with it, so that an error is
never repeated from memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from shared.database import direct
from shared.database.direct import Connection
from shared.errors import IdempotencyKeyReusedError
from shared.jobs.statements import as_json
from shared.security.secrets import KeyedHash

_CLAIM = text(
    "INSERT INTO idempotency_keys (owner_id, route, key, body_hash) "
    "VALUES (:owner_id, :route, :key, :body_hash) ON CONFLICT DO NOTHING RETURNING 1"
)
_FIND = text(
    "SELECT body_hash, job_id, answer FROM idempotency_keys "
    "WHERE owner_id = :owner_id AND route = :route AND key = :key"
)
_FINISH = text(
    "UPDATE idempotency_keys SET job_id = :job_id, answer = CAST(:answer AS jsonb) "
    "WHERE owner_id = :owner_id AND route = :route AND key = :key"
)


@dataclass(frozen=True, slots=True)
class Record:
    """What the request made that used a key first.

    Attributes:
        job_id: the job that gives its answer.
        answer: ``{status, body}``, where it made no job.
    """

    job_id: UUID | None
    answer: dict[str, Any] | None


async def begin(
    connection: Connection, owner_id: UUID, route: str, key: str, body_hash: KeyedHash
) -> Record | None:
    """Claim ``key`` for this request: ``None`` when it is new, else the record of the request that used it.

    Waits for another transaction that is using the key just now. The caller adds what was made with
    :func:`finish` before it commits.

    Raises:
        IdempotencyKeyReusedError: the key was used on this route with another body.
    """
    claim = {"owner_id": owner_id, "route": route, "key": key, "body_hash": body_hash.value}
    while (await connection.execute(_CLAIM, claim)).first() is None:
        found = await find(connection, owner_id, route, key, body_hash)
        if found is not None:  # else removed as expired between the two statements
            return found
    return None


async def find(
    connection: Connection, owner_id: UUID, route: str, key: str, body_hash: KeyedHash
) -> Record | None:
    """The record of the request that used ``key``, if one did and is committed.

    Raises:
        IdempotencyKeyReusedError: the key was used on this route with another body.
    """
    parameters = {"owner_id": owner_id, "route": route, "key": key}
    found = (await connection.execute(_FIND, parameters)).first()
    if found is None:
        return None
    if not body_hash.matches(bytes(found.body_hash)):
        raise IdempotencyKeyReusedError(
            "This Idempotency-Key was used with another body; use a new key for a new request.",
            errors=[{"field": "Idempotency-Key", "message": "was used with another body"}],
        )
    return Record(found.job_id, found.answer)


async def finish(
    connection: Connection,
    owner_id: UUID,
    route: str,
    key: str,
    *,
    answer: dict[str, Any] | None = None,
    job_id: UUID | None = None,
) -> None:
    """Keep what the request made: its ``answer`` (``{status, body}``), or the job that gives it.

    It may wait for the next round trip.
    """
    made = {"answer": as_json(answer), "job_id": job_id}
    await direct.write(connection, _FINISH, {"owner_id": owner_id, "route": route, "key": key, **made})
