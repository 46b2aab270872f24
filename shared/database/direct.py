"""Statements on the path of every turn, straight to the driver.

A turn takes two dozen statements; through SQLAlchemy's execution each costs about 0.4 ms of CPU more than the
driver itself, which was half of what a turn cost. Connections come from the engine's pool all the same, and
errors are SQLAlchemy's, so that whoever catches them need not know which way a statement went.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

import psycopg
import sqlalchemy.exc
from psycopg.abc import QueryNoTemplate
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import namedtuple_row
from sqlalchemy import TextClause
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util.concurrency import greenlet_spawn

P = ParamSpec("P")
T = TypeVar("T")

Parameters = Mapping[str, Any]

_DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]
_ERRORS: tuple[tuple[type[psycopg.Error], type[sqlalchemy.exc.DBAPIError]], ...] = (
    (psycopg.IntegrityError, sqlalchemy.exc.IntegrityError),
    (psycopg.DataError, sqlalchemy.exc.DataError),
    (psycopg.ProgrammingError, sqlalchemy.exc.ProgrammingError),
    (psycopg.NotSupportedError, sqlalchemy.exc.NotSupportedError),
    (psycopg.OperationalError, sqlalchemy.exc.OperationalError),
    (psycopg.InternalError, sqlalchemy.exc.InternalError),
    (psycopg.InterfaceError, sqlalchemy.exc.InterfaceError),
    (psycopg.DatabaseError, sqlalchemy.exc.DatabaseError),
)
#: Going back to the pool ends these.
_ROLLED_BACK = (TransactionStatus.IDLE, TransactionStatus.INTRANS, TransactionStatus.INERROR)


class Rows:
    """What a statement returned, read as SQLAlchemy's results are."""

    __slots__ = ("_rows",)

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def mappings(self) -> Rows:
        """The rows as mappings of columns to values."""
        return Rows([row._asdict() for row in self._rows])

    def all(self) -> list[Any]:
        """Every row."""
        return self._rows

    def first(self) -> Any | None:
        """The first row, if any."""
        return self._rows[0] if self._rows else None

    def one(self) -> Any:
        """The only row.

        Raises:
            sqlalchemy.exc.NoResultFound, sqlalchemy.exc.MultipleResultsFound: there is not exactly one.
        """
        if not self._rows:
            raise sqlalchemy.exc.NoResultFound("No row was found when one was required")
        if len(self._rows) > 1:
            raise sqlalchemy.exc.MultipleResultsFound("Multiple rows were found when one was required")
        return self._rows[0]

    def scalar(self) -> Any | None:
        """The first column of the first row, if any."""
        return self._rows[0][0] if self._rows else None


class Connection(Protocol):
    """What runs statements: a :class:`DirectConnection`, or SQLAlchemy's ``AsyncConnection``."""

    async def execute(self, statement: Any, parameters: Any = None, /) -> Any:
        """Run a statement and return its rows."""


class Pending:
    """A statement that is sent along with the next one, or with the commit."""

    __slots__ = ("_rows", "parameters", "query")

    def __init__(self, query: str, parameters: Parameters | None) -> None:
        self.query = query
        self.parameters = parameters
        self._rows: Rows | None = None

    @property
    def rows(self) -> Rows:
        """What it returned, once it was run."""
        assert self._rows is not None, "it was not run yet"
        return self._rows

    async def read(self, cursor: psycopg.AsyncCursor[Any]) -> None:
        """Take the rows out of the cursor that ran it."""
        # Not `cursor.description`, which makes an object of every column.
        result = cursor.pgresult
        self._rows = Rows(await cursor.fetchall() if result is not None and result.nfields else [])


class DirectConnection:
    """A connection of the pool; runs ``text()`` statements only."""

    def __init__(self, driver: psycopg.AsyncConnection[Any]) -> None:
        self._driver = driver
        self._waiting: list[Pending] = []
        # Nothing is prepared, and nothing sent in one go, through a pooler: not all of them take it.
        self._pipelines = driver.prepare_threshold is not None

    async def execute(self, statement: TextClause, parameters: Parameters | None = None, /) -> Rows:
        """Run ``statement``, after those that wait, and read all of its rows.

        Raises:
            sqlalchemy.exc.DBAPIError: as SQLAlchemy would raise it; it may be that of one that waited.
        """
        pending = self.later(statement, parameters)
        await self.flush()
        return pending.rows

    def later(self, statement: TextClause, parameters: Parameters | None = None, /) -> Pending:
        """Run ``statement`` with the next round trip: for those that need no answer before it."""
        pending = Pending(_compiled(statement), parameters)
        self._waiting.append(pending)
        return pending

    async def flush(self, *, commit: bool = False) -> None:
        """Run what waits, in order, in one round trip; and commit in the same one, if so asked.

        Raises:
            sqlalchemy.exc.DBAPIError: that of the first statement which failed; those after it were not run.
        """
        waiting, self._waiting = self._waiting, []
        if not waiting and not commit:
            return
        query = "; ".join([one.query for one in waiting] + ["COMMIT"] * commit)
        with _translated(self._driver, query):
            try:
                alone = len(waiting) + commit == 1 and not self._begins
                if self._pipelines and not alone:
                    await self._run_together(waiting, commit=commit)
                else:
                    for one in waiting:
                        await one.read(await self._run(one))
                    if commit:
                        await self._driver.commit()
            except psycopg.errors.FeatureNotSupported:
                # A migration changed a table under the prepared statements of this connection.
                await self._driver.close()
                raise

    @property
    def _begins(self) -> bool:
        """Whether the next statement begins a transaction, which costs a round trip of its own."""
        driver = self._driver
        return not driver.autocommit and driver.info.transaction_status is TransactionStatus.IDLE

    async def _run_together(self, waiting: list[Pending], *, commit: bool) -> None:
        left = False
        try:
            async with self._driver.pipeline():
                cursors = [await self._run(one) for one in waiting]
                if commit:
                    await self._driver.commit()
            left = True
        except psycopg.Error:
            left = self._driver.info.pipeline_status is PipelineStatus.OFF
            raise
        finally:
            if not left:
                # Cut off within the pipeline, the connection may stay in it, where statements are sent and
                # their rows never asked for: it would run the next claim and tell of nothing.
                await self._driver.close()
        for one, cursor in zip(waiting, cursors, strict=True):
            await one.read(cursor)

    async def _run(self, pending: Pending) -> psycopg.AsyncCursor[Any]:
        cursor = psycopg.AsyncCursor(self._driver, row_factory=namedtuple_row)
        # The text is a constant of ours, whatever type the driver would like it to have. Planning it anew
        # costs Postgres up to twenty times as much as running it.
        query = cast(QueryNoTemplate, pending.query)
        return await cursor.execute(query, pending.parameters or None, prepare=True)


async def write(connection: Connection, statement: TextClause, parameters: Parameters) -> None:
    """Run a statement whose rows nobody reads; it may wait for the next round trip."""
    if isinstance(connection, DirectConnection):
        connection.later(statement, parameters)
    else:
        await connection.execute(statement, parameters)


@asynccontextmanager
async def begin(engine: AsyncEngine) -> AsyncIterator[DirectConnection]:
    """A transaction: committed at the end, rolled back after an error."""
    async with _checked_out(engine) as driver:
        connection = DirectConnection(driver)
        yield connection
        await connection.flush(commit=True)


async def execute(engine: AsyncEngine, statement: TextClause, parameters: Parameters | None = None) -> Rows:
    """Run one statement as a transaction of its own, in one round trip."""
    try:
        return await _execute(engine, statement, parameters)
    except sqlalchemy.exc.NotSupportedError:
        # Refused before it was run. Every connection of the pool may have it prepared for the older table.
        await engine.dispose()
        return await _execute(engine, statement, parameters)


def survives_migration(
    work: Callable[Concatenate[AsyncEngine, P], Awaitable[T]],
) -> Callable[Concatenate[AsyncEngine, P], Awaitable[T]]:
    """For a coroutine function that is one transaction and nothing else: it is done once more when a
    migration changed a table under its prepared statements. What it had done was rolled back.
    """

    @functools.wraps(work)
    async def surviving(engine: AsyncEngine, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await work(engine, *args, **kwargs)
        except sqlalchemy.exc.NotSupportedError:
            await engine.dispose()
            return await work(engine, *args, **kwargs)

    return surviving


async def _execute(engine: AsyncEngine, statement: TextClause, parameters: Parameters | None) -> Rows:
    async with _checked_out(engine) as driver:
        await driver.set_autocommit(True)
        try:
            return await DirectConnection(driver).execute(statement, parameters)
        finally:
            if not driver.closed and driver.info.transaction_status is TransactionStatus.IDLE:
                await driver.set_autocommit(False)


@asynccontextmanager
async def _checked_out(engine: AsyncEngine) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection of the pool; one that was left in the middle of something does not go back to it."""
    with _translated(None, "(connecting)"):
        pooled = await engine.raw_connection()
    driver = cast("psycopg.AsyncConnection[Any]", pooled.driver_connection)
    try:
        yield driver
    except BaseException:
        back = not driver.closed and not driver.autocommit and driver.info.transaction_status in _ROLLED_BACK
        # Not to be cancelled in between: the connection would be lost to the pool.
        await asyncio.shield(greenlet_spawn(pooled.close if back else pooled.invalidate))
        raise
    # In no transaction any more, so that this waits for nothing.
    await greenlet_spawn(pooled.close)


@contextmanager
def _translated(driver: psycopg.AsyncConnection[Any] | None, query: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        for raised, kind in _ERRORS:
            if isinstance(error, raised):
                lost = driver is not None and driver.closed
                raise kind(query, None, error, connection_invalidated=lost) from error
        raise


@functools.cache
def _compiled(statement: TextClause) -> str:
    """The statement with its parameters as the driver spells them."""
    if not isinstance(statement, TextClause):
        raise TypeError("a direct connection runs text() statements; use SQLAlchemy's for others")
    return str(statement.compile(dialect=_DIALECT))
