"""Connections to Postgres, in the manners that a transaction-mode pooler asks for."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

#: Connections that one process holds at most.
POOL_SIZE = 5
#: So often must a statement come before it is prepared unasked: never.
_NEVER = 1 << 62


def create_engine(url: str, *, pool_size: int = POOL_SIZE) -> AsyncEngine:
    """An engine for one process.

    Behind a pooler no statement is prepared on the server (``prepare_threshold=None``): a prepared statement
    would belong to a server connection that the pooler gives to somebody else after the transaction. On a
    connection that leads to Postgres itself those are prepared that ask for it, which are the ones of
    :mod:`shared.database.direct`.
    """
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=30,
        pool_recycle=1800,
        pool_use_lifo=True,
        # Postgres writes numbers out in full, and what Python makes of 10^25 could not be encoded again.
        json_deserializer=orjson.loads,
        # An error is logged somewhere, some day; the values of its statement are not.
        hide_parameters=True,
        connect_args={"prepare_threshold": None, "connect_timeout": 5},
    )
    event.listen(engine.sync_engine, "connect", _allow_preparing)
    return engine


def _allow_preparing(adapted: Any, _: Any) -> None:
    """Let statements be prepared if nobody stands in between.

    A pooler answers the start of a connection itself, with a process id of its own making; Postgres tells
    that of the very process which then answers statements.
    """
    cursor = adapted.cursor()
    cursor.execute("SELECT pg_backend_pid()")
    (pid,) = cursor.fetchone()
    cursor.close()
    adapted.commit()
    driver = adapted.driver_connection
    driver.prepare_threshold = _NEVER if driver.info.backend_pid == pid else None
