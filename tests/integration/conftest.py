"""Clients of the servers, for the tests below."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.engine import create_engine
from shared.redis_client import connect


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    """Of a migrated database without rows."""
    made = create_engine(postgres_url)
    yield made
    await made.dispose()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of an empty Redis, made as Parley makes its own."""
    client = connect(redis_url, 5.0)
    yield client
    await client.aclose()
