"""What scripts read is read in transactions that cannot write."""

from __future__ import annotations

import uuid

import pytest
import sqlalchemy.exc
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import direct
from workers.jobs.turn_readers import read

_WRITE = text("INSERT INTO users (id, name, is_admin) VALUES (:id, 'written', false) RETURNING id")
_WRITTEN = text("SELECT count(*) FROM users WHERE name = 'written'")


async def test_a_question_is_answered(engine: AsyncEngine) -> None:
    assert (await read(engine, text("SELECT CAST(:given AS int) AS told"), {"given": 42})).one().told == 42


async def test_a_statement_that_writes_is_refused_and_leaves_the_connection_usable(
    engine: AsyncEngine,
) -> None:
    for _ in range(2):
        with pytest.raises(sqlalchemy.exc.DBAPIError, match="read-only transaction"):
            await read(engine, _WRITE, {"id": uuid.uuid4()})
    assert (await read(engine, _WRITTEN, {})).scalar() == 0


async def test_what_comes_after_a_question_may_write(engine: AsyncEngine) -> None:
    await read(engine, _WRITTEN, {})
    given = uuid.uuid4()
    await direct.execute(engine, _WRITE, {"id": given})
    try:
        assert (await read(engine, _WRITTEN, {})).scalar() == 1
    finally:
        await direct.execute(engine, text("DELETE FROM users WHERE id = :id RETURNING id"), {"id": given})
