"""Connections to Redis (or Valkey), all made alike."""

from __future__ import annotations

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


def connect(url: str, timeout: float, *, max_connections: int = 50) -> Redis:
    """A client that answers or fails within ``timeout`` seconds.

    It never repeats a command by itself: who calls knows whether that is safe. Replies are bytes. When all
    ``max_connections`` are in use a caller waits for one, ``timeout`` seconds at most: a burst is no fault.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        timeout=timeout,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        max_connections=max_connections,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    return Redis.from_pool(pool)
