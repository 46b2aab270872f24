"""Connections to Postgres, in the manners that a transaction-mode pooler asks for."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

#: Connections that one process holds at most.
POOL_SIZE = 5


def create_engine(url: str, *, pool_size: int = POOL_SIZE) -> AsyncEngine:
    """An engine for one process.

    No statement is prepared on the server (``prepare_threshold=None``): a prepared statement would belong to
    a server connection that a pooler gives to somebody else after the transaction.
    """
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=30,
        pool_recycle=1800,
        pool_use_lifo=True,
        connect_args={"prepare_threshold": None, "connect_timeout": 5},
    )
