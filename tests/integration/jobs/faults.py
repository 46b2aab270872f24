"""Servers that refuse, and replies that get lost, wherever the code talks to them.

Postgres is met below SQLAlchemy, at the driver's connection, so that it does not matter which way a statement
went. Redis is met at the client: a command or a pipeline is one thing that happens or does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import redis.exceptions
from psycopg.pq import TransactionStatus
from redis.asyncio import Redis
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
        #: What was asked while it refused; set at every refusal, for tests that wait for one.
        self.refused = asyncio.Event()

    async def arrive(self, name: str) -> None:
        """Something is asked. May wait, and changes what :meth:`check` says."""
        if self.gate is not None:
            await self.gate(name)

    def refuses(self) -> bool:
        if self.refusing:
            self.refused.set()
        return self.refusing

    def loses(self) -> bool:
        if self.lose:
            self.lose -= 1
            return True
        return False


# Postgres ---------------------------------------------------------------------------------------------------


def faulty_engine(url: str, faults: Faults, *, pool_size: int = 5) -> AsyncEngine:
    """An engine like the product's, whose connections break as ``faults`` says.

    A statement that begins a transaction is the beginning; the commit is where a reply may get lost.
    """

    class Connection(psycopg.AsyncConnection[Any]):
        async def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            name = gen.__name__
            commits = name == "_commit_gen"
            begins = name == "_execute_gen" and self.info.transaction_status is TransactionStatus.IDLE
            if begins:
                await faults.arrive("postgres")
            if (begins or commits or name == "_execute_gen") and faults.refuses():
                gen.close()
                await self.close()
                raise psycopg.OperationalError("the server refuses (fault of the test)")
            result = await super().wait(gen, *args, **kwargs)
            ends = commits or (begins and self.autocommit)
            if ends and faults.loses():
                await self.close()
                raise psycopg.OperationalError("the reply was lost (fault of the test)")
            return result

    async def connect(*args: Any, **kwargs: Any) -> Connection:
        if faults.refuses():
            raise psycopg.OperationalError("no connection (fault of the test)")
        return await Connection.connect(*args, **kwargs)

    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        connect_args={"prepare_threshold": None, "async_creator_fn": connect},
    )


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
        try:
            return await ask()
        finally:
            if self.faults.loses():
                raise redis.exceptions.ConnectionError("the reply was lost (fault of the test)")


def faulty_redis(url: str, faults: Faults) -> FaultyRedis:
    """A client like the product's."""
    made = FaultyRedis.from_url(url, protocol=2)
    made.faults = faults
    return made
