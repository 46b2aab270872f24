"""Servers that refuse, and replies that get lost, wherever the code talks to them.

Postgres is met below SQLAlchemy, at the driver's connection, so that it does not matter which way a statement
went. Redis is met at the client: a command or a pipeline is one thing that happens or does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import redis.exceptions
from psycopg.pq import PipelineStatus, TransactionStatus
from redis.asyncio import Redis
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


class Faults:
    """How a server behaves towards one process.

    Attributes:
        refusing: nothing is done.
        lose: how many replies get lost from now on; what was asked is done all the same.
        gate: awaited before each command or transaction, with its name.
    """

    def __init__(self, gate: Callable[[str], Awaitable[None]] | None = None) -> None:
        self.refusing = False
        self.lose = 0
        self.gate = gate
        #: Set at every refusal, for tests that wait for one.
        self.refused = asyncio.Event()
        #: What happens to the next thing alone: ``refuse`` or ``lose``.
        self.once: str | None = None
        #: Questions that are being answered.
        self.under_way = 0
        self.connections: list[psycopg.AsyncConnection[Any]] = []

    async def arrive(self, name: str) -> None:
        """Something is asked. May wait, and changes what :meth:`check` says."""
        if self.gate is not None:
            await self.gate(name)

    def refuses(self) -> bool:
        refused = self.refusing
        if self.once == "refuse":
            self.once, refused = None, True
        if refused:
            self.refused.set()
        return refused

    def loses(self) -> bool:
        if self.once == "lose":
            self.once = None
            return True
        if self.lose:
            self.lose -= 1
            return True
        return False

    def cut(self) -> None:
        """Close every connection to Postgres, as the end of a process does."""
        for connection in self.connections:
            connection.pgconn.finish()
        self.connections.clear()


# Postgres ---------------------------------------------------------------------------------------------------


#: What a transaction begins with, as the driver names it.
BEGINNINGS = ("_execute_gen", "_enter_gen")


def faulty_engine(url: str, faults: Faults, *, pool_size: int = 5) -> AsyncEngine:
    """An engine like the product's, whose connections break as ``faults`` says.

    A statement that begins a transaction is the beginning; the commit is where a reply may get lost.
    """

    class Connection(psycopg.AsyncConnection[Any]):
        #: Whether a transaction, or a statement that is one, is under way.
        open = False
        commits = False
        #: Whether it has come out of the pool; what happens before that belongs to connecting.
        used = False

        async def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            name = gen.__name__
            if not self.used:
                faults.under_way += 1
                try:
                    return await super().wait(gen, *args, **kwargs)
                finally:
                    faults.under_way -= 1
            if name in BEGINNINGS and not self.open:
                self.open, self.commits = True, self.autocommit
                await faults.arrive("postgres")
            self.commits = self.commits or name == "_commit_gen"
            if self.open and name != "_rollback_gen" and faults.refuses():
                gen.close()
                await self._break()
                raise psycopg.OperationalError("the server refuses (fault of the test)")
            faults.under_way += 1
            try:
                result = await super().wait(gen, *args, **kwargs)
            except BaseException:
                self.open = self.open and not self.closed and not self._at_rest()
                raise
            finally:
                faults.under_way -= 1
            await self._ended()
            return result

        @asynccontextmanager
        async def pipeline(self) -> AsyncIterator[psycopg.AsyncPipeline]:
            async with super().pipeline() as made:
                yield made
            # It leaves its mode behind the last wait: what was committed in it is known to be from here on.
            await self._ended()

        async def _ended(self) -> None:
            """A transaction may have ended; the reply to its commit may get lost."""
            if self.open and self._at_rest():
                self.open = False
                if self.commits and faults.loses():
                    await self._break()
                    raise psycopg.OperationalError("the reply was lost (fault of the test)")

        def _at_rest(self) -> bool:
            return (
                self.pgconn.pipeline_status == PipelineStatus.OFF
                and self.pgconn.transaction_status == TransactionStatus.IDLE
            )

        async def _break(self) -> None:
            self.open = False
            await self.close()

    async def connect(*args: Any, **kwargs: Any) -> Connection:
        await faults.arrive("postgres: connect")
        if faults.refuses():
            raise psycopg.OperationalError("no connection (fault of the test)")
        faults.under_way += 1
        try:
            made = await Connection.connect(*args, **kwargs)
        finally:
            faults.under_way -= 1
        faults.connections.append(made)
        return made

    made = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        connect_args={"prepare_threshold": None, "async_creator_fn": connect},
    )
    event.listen(made.sync_engine, "connect", _prepare_when_asked)
    event.listen(made.sync_engine, "checkout", _use)
    return made


def _use(adapted: Any, *_: Any) -> None:
    adapted.driver_connection.used = True


def _prepare_when_asked(adapted: Any, _: Any) -> None:
    """As on the product's connections that no pooler stands before: several statements go in one trip."""
    adapted.driver_connection.prepare_threshold = 1 << 62


# Redis ------------------------------------------------------------------------------------------------------


class FaultyRedis(Redis):
    """A client whose server behaves as ``faults`` says. Subscriptions are not met."""

    faults: Faults

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        return await self._meet(
            f"redis {args[0]}", lambda: super(FaultyRedis, self).execute_command(*args, **options)
        )

    def pipeline(self, *args: Any, **kwargs: Any) -> Any:
        made = super().pipeline(*args, **kwargs)
        execute = made.execute

        async def meet(raise_on_error: bool = True) -> Any:
            return await self._meet("redis pipeline", lambda: execute(raise_on_error))

        made.execute = meet  # type: ignore[method-assign]
        return made

    async def _meet(self, name: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        await self.faults.arrive(name)
        if self.faults.refuses():
            raise redis.exceptions.ConnectionError("the server refuses (fault of the test)")
        self.faults.under_way += 1
        try:
            answer = await ask()
        finally:
            self.faults.under_way -= 1
        if self.faults.loses():
            raise redis.exceptions.ConnectionError("the reply was lost (fault of the test)")
        return answer


def faulty_redis(url: str, faults: Faults) -> FaultyRedis:
    """A client like the product's."""
    made = FaultyRedis.from_url(url, protocol=2)
    made.faults = faults
    return made
