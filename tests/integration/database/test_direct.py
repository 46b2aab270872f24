"""Statements straight to the driver keep the engine's promises: one pool, whole transactions, its errors."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator

import psycopg
import pytest
import sqlalchemy.exc
import uvloop
from sqlalchemy import column, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.local.postgres import EmbeddedPostgres
from shared.database import direct
from shared.database.engine import create_engine

_INSERT = text("INSERT INTO kept (id, content) VALUES (:id, CAST(:content AS jsonb)) RETURNING *")
_COUNT = text("SELECT count(*) FROM kept")
_PIDS = text("SELECT pg_backend_pid() AS pid")


@pytest.fixture
async def engine(empty_database_url: str) -> AsyncIterator[AsyncEngine]:
    made = create_engine(empty_database_url, pool_size=1)
    await direct.execute(made, text("CREATE TABLE kept (id uuid PRIMARY KEY, content jsonb)"))
    yield made
    await made.dispose()


async def test_one_statement_is_a_transaction_of_its_own(engine: AsyncEngine) -> None:
    given = uuid.uuid4()
    rows = await direct.execute(engine, _INSERT, {"id": given, "content": '{"50%": ":a"}'})
    assert rows.mappings().one() == {"id": given, "content": {"50%": ":a"}}
    assert rows.one().id == given
    async with engine.connect() as connection:
        assert (await connection.execute(_COUNT)).scalar() == 1


async def test_a_percent_sign_and_a_cast_stay_what_they_are(engine: AsyncEngine) -> None:
    found = await direct.execute(
        engine, text("SELECT 'a%b' LIKE '%\\%b' AS x, CAST(:n AS int) + 0::int AS n"), {"n": 3}
    )
    assert tuple(found.one()) == (True, 3)


async def test_an_error_undoes_the_transaction_and_the_connection_serves_on(engine: AsyncEngine) -> None:
    given = {"id": uuid.uuid4(), "content": None}

    async def twice() -> None:
        async with direct.begin(engine) as connection:
            await connection.execute(_INSERT, given)
            await connection.execute(_INSERT, given)

    async def broken() -> None:
        async with direct.begin(engine) as connection:
            await connection.execute(_INSERT, given)
            raise RuntimeError("by the caller")

    with pytest.raises(sqlalchemy.exc.IntegrityError):
        await twice()
    assert (await direct.execute(engine, _COUNT)).scalar() == 0
    with pytest.raises(RuntimeError, match="by the caller"):
        await broken()
    assert (await direct.execute(engine, _COUNT)).scalar() == 0
    async with direct.begin(engine) as connection:
        await connection.execute(_INSERT, given)
    assert (await direct.execute(engine, _COUNT)).scalar() == 1


async def test_sqlalchemy_gets_its_connections_back_as_it_lent_them(engine: AsyncEngine) -> None:
    await direct.execute(engine, _INSERT, {"id": uuid.uuid4(), "content": None})
    async with engine.connect() as connection:
        await connection.execute(_INSERT, {"id": uuid.uuid4(), "content": None})
        await connection.rollback()
    assert (await direct.execute(engine, _COUNT)).scalar() == 1


@pytest.mark.parametrize("way", ["one", "transaction", "together"])
async def test_a_cancelled_statement_leaves_no_connection_in_the_middle_of_it(
    engine: AsyncEngine, way: str
) -> None:
    async def sleep() -> None:
        if way == "one":
            await direct.execute(engine, text("SELECT pg_sleep(60)"))
        else:
            async with direct.begin(engine) as connection:
                run = connection.later if way == "together" else connection.execute
                inserted = run(_INSERT, {"id": uuid.uuid4(), "content": None})
                if not isinstance(inserted, direct.Pending):
                    await inserted
                connection.later(text("SELECT pg_sleep(60)"))

    task = asyncio.create_task(sleep())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # The pool has one connection: it is there, and in no transaction.
    async with asyncio.timeout(5):
        assert (await direct.execute(engine, _COUNT)).scalar() == 0


async def test_a_lost_connection_is_told_as_one_and_replaced(own_postgres: EmbeddedPostgres) -> None:
    own_postgres.ensure_database("parley")
    engine = create_engine(own_postgres.url("parley"), pool_size=1)
    try:
        pid = (await direct.execute(engine, _PIDS)).scalar()
        own_postgres.sql(f"SELECT pg_terminate_backend({pid}, 5000)")
        with pytest.raises(sqlalchemy.exc.OperationalError) as lost:
            await direct.execute(engine, _PIDS)
        assert lost.value.connection_invalidated
        assert (await direct.execute(engine, _PIDS)).scalar() != pid
        own_postgres.stop()
        with pytest.raises(sqlalchemy.exc.OperationalError):
            await direct.execute(engine, _PIDS)
        with pytest.raises(sqlalchemy.exc.OperationalError):
            await direct.execute(engine, _PIDS)
    finally:
        await engine.dispose()


async def test_other_than_text_is_refused(engine: AsyncEngine) -> None:
    async with direct.begin(engine) as connection:
        with pytest.raises(TypeError, match="text"):
            await connection.execute(select(column("x")))  # type: ignore[arg-type]


async def test_exactly_one_row_is_asked_for(engine: AsyncEngine) -> None:
    none = await direct.execute(engine, text("SELECT id FROM kept"))
    with pytest.raises(sqlalchemy.exc.NoResultFound):
        none.one()
    assert none.first() is None
    assert none.scalar() is None
    two = await direct.execute(engine, text("SELECT generate_series(1, 2) AS n"))
    with pytest.raises(sqlalchemy.exc.MultipleResultsFound):
        two.one()
    assert [row.n for row in two] == [1, 2]


_PREPARED = text("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%FROM kept%'")


async def test_statements_are_prepared_once_on_a_connection_of_postgres_itself(engine: AsyncEngine) -> None:
    for _ in range(3):
        await direct.execute(engine, _COUNT)
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1 FROM kept"))
        assert (await connection.execute(_PREPARED)).scalar() == 1


async def _migrate(engine: AsyncEngine) -> None:
    """As another process does it."""
    other = create_engine(engine.url.render_as_string(hide_password=False), pool_size=1)
    async with other.begin() as connection:
        await connection.execute(text("ALTER TABLE kept ADD COLUMN more int DEFAULT 7"))
    await other.dispose()


async def test_a_migration_under_prepared_statements_is_not_noticed(engine: AsyncEngine) -> None:
    given = {"id": uuid.uuid4(), "content": None}
    whole = text("SELECT * FROM kept")
    await direct.execute(engine, _INSERT, given)
    await direct.execute(engine, whole)
    await _migrate(engine)
    assert (await direct.execute(engine, whole)).mappings().one() == {**given, "more": 7}


async def test_a_migration_under_a_transaction_costs_it_the_connection(engine: AsyncEngine) -> None:
    whole = text("SELECT * FROM kept")
    await direct.execute(engine, whole)
    await _migrate(engine)

    async def read() -> None:
        async with direct.begin(engine) as connection:
            await connection.execute(whole)

    with pytest.raises(sqlalchemy.exc.DBAPIError) as lost:
        await read()
    # Who repeats what failed on a lost connection repeats this, too.
    assert lost.value.connection_invalidated
    await read()


async def test_nothing_is_prepared_behind_a_pooler(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a pooler does: the process id that it tells is not that of the process which answers.
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", property(lambda _: 4711))
    pooled = create_engine(empty_database_url, pool_size=1)
    try:
        for _ in range(3):
            await direct.execute(pooled, text("SELECT 1 AS kept"))
        count = text("SELECT count(*) FROM pg_prepared_statements")
        assert (await direct.execute(pooled, count)).scalar() == 0
    finally:
        await pooled.dispose()


@pytest.fixture(params=["straight", "through a pooler"])
async def any_engine(
    request: pytest.FixtureRequest, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> AsyncEngine:
    if request.param == "through a pooler":
        await engine.dispose()
        monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", property(lambda _: 4711))
    return engine


async def test_what_waits_goes_along_in_its_order(any_engine: AsyncEngine) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    async with direct.begin(any_engine) as connection:
        earlier = connection.later(_INSERT, {"id": first, "content": "1"})
        assert (await connection.execute(_COUNT)).scalar() == 1
        assert earlier.rows.one().id == first
        last = connection.later(_INSERT, {"id": second, "content": "2"})
        count = connection.later(_COUNT)
    assert last.rows.mappings().one() == {"id": second, "content": 2}
    assert count.rows.scalar() == 2
    assert (await direct.execute(any_engine, _COUNT)).scalar() == 2


async def test_an_error_of_what_waits_undoes_everything(any_engine: AsyncEngine) -> None:
    given = {"id": uuid.uuid4(), "content": None}

    async def at_the_commit() -> None:
        async with direct.begin(any_engine) as connection:
            connection.later(_INSERT, given)
            connection.later(_INSERT, given)
            connection.later(_COUNT)

    async def before_another() -> None:
        async with direct.begin(any_engine) as connection:
            await connection.execute(_INSERT, given)
            connection.later(_INSERT, given)
            await connection.execute(_COUNT)

    for way in (at_the_commit, before_another):
        with pytest.raises(sqlalchemy.exc.IntegrityError) as error:
            await way()
        assert not error.value.connection_invalidated
        assert (await direct.execute(any_engine, _COUNT)).scalar() == 0


async def test_a_caller_that_fails_sends_nothing_that_waited(any_engine: AsyncEngine) -> None:
    async def broken() -> None:
        async with direct.begin(any_engine) as connection:
            connection.later(_INSERT, {"id": uuid.uuid4(), "content": None})
            raise RuntimeError("by the caller")

    with pytest.raises(RuntimeError, match="by the caller"):
        await broken()
    assert (await direct.execute(any_engine, _COUNT)).scalar() == 0


# Closing a connection in the middle of something leaves a generator of the driver behind that complains.
@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("seconds", [2, pytest.param(40, marks=pytest.mark.slow)])
def test_what_is_cancelled_twice_swallows_nobody_elses_answers(
    empty_database_url: str, seconds: float
) -> None:
    """A connection that came back to the pool still in its pipeline ran the next statement and told nothing.

    That takes the loop of the workers and some luck: the long run finds it every time, the short one often.
    """
    uvloop.run(_cancel_twice(empty_database_url, seconds))


async def _cancel_twice(url: str, seconds: float) -> None:
    engine = create_engine(url)
    await direct.execute(engine, text("CREATE TABLE kept (id uuid PRIMARY KEY, content jsonb)"))
    chance = random.Random(7)
    end = asyncio.get_running_loop().time() + seconds

    async def together() -> None:
        async with direct.begin(engine) as connection:
            if chance.random() < 0.7:
                await connection.execute(text("SELECT 1"))
            connection.later(text("SELECT 2"))
            connection.later(text("SELECT pg_sleep(0.001)"))

    async def disturb() -> None:
        while asyncio.get_running_loop().time() < end:
            task = asyncio.create_task(together())
            await asyncio.sleep(chance.random() * 0.004)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def ask() -> None:
        while asyncio.get_running_loop().time() < end:
            given = uuid.uuid4()
            row = (await direct.execute(engine, _INSERT, {"id": given, "content": None})).first()
            assert row is not None, "a statement ran, and its rows were lost"
            assert row.id == given
            await asyncio.sleep(0.002)

    try:
        await asyncio.gather(*(disturb() for _ in range(6)), *(ask() for _ in range(4)))
    finally:
        await engine.dispose()
