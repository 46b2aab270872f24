"""Requests that must not run twice: a record made in the transaction of what the request makes.

The insert of the record is the lock: a request with the same key that comes meanwhile waits for it, then
finds what the first one made. A transaction that rolls back takes its record with it, so that an error is
never repeated from memory.
"""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.models import IdempotencyRecord
from shared.errors import IdempotencyKeyReusedError
from shared.security.secrets import KeyedHash


async def begin(
    session: AsyncSession, owner_id: uuid.UUID, route: str, key: str, body_hash: KeyedHash
) -> IdempotencyRecord | None:
    """Claim ``key`` for this request: ``None`` when it is new, else the record of the request that used it.

    Waits for another transaction that is using the key just now. The caller adds what was made with
    :func:`finish` before it commits.

    Raises:
        IdempotencyKeyReusedError: the key was used on this route with another body.
    """
    claim = (
        insert(IdempotencyRecord)
        .values(owner_id=owner_id, route=route, key=key, body_hash=body_hash.value)
        .on_conflict_do_nothing()
        .returning(IdempotencyRecord.key)
    )
    while (await session.execute(claim)).first() is None:
        found = await find(session, owner_id, route, key, body_hash)
        if found is not None:  # else removed as expired between the two statements
            return found
    return None


async def find(
    session: AsyncSession, owner_id: uuid.UUID, route: str, key: str, body_hash: KeyedHash
) -> IdempotencyRecord | None:
    """The record of the request that used ``key``, if one did.

    Raises:
        IdempotencyKeyReusedError: the key was used on this route with another body.
    """
    found = await session.get(IdempotencyRecord, (owner_id, route, key))
    if found is not None and not body_hash.matches(found.body_hash):
        raise IdempotencyKeyReusedError(
            "this Idempotency-Key was used for another request; use a new one",
            errors=[{"field": "Idempotency-Key", "message": "was used for another request"}],
        )
    return found


async def finish(
    session: AsyncSession,
    owner_id: uuid.UUID,
    route: str,
    key: str,
    *,
    answer: dict[str, Any] | None = None,
    job_id: uuid.UUID | None = None,
) -> None:
    """Keep what the request made: its ``answer`` (``{status, body}``), or the job that gives it."""
    values: dict[str, Any] = {}
    if answer is not None:
        values["answer"] = answer
    if job_id is not None:
        values["job_id"] = job_id
    await session.execute(
        update(IdempotencyRecord)
        .where(
            IdempotencyRecord.owner_id == owner_id,
            IdempotencyRecord.route == route,
            IdempotencyRecord.key == key,
        )
        .values(**values)
    )
