"""The job machinery on a real Postgres and a real Redis: one database, empty before each test."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.settings import Settings
from tests.integration.jobs.house import House, WakeupLog
from tests.integration.jobs.simulation.truth import Truth

TTL = 3.0
NAMESPACE = "parley"


@pytest.fixture
def settings(postgres_url: str, redis_url: str) -> Settings:
    return Settings(database_url=postgres_url, redis_url=redis_url, namespace=NAMESPACE, lease_ttl=TTL)


@pytest.fixture
async def house(engine: AsyncEngine, redis: Redis, settings: Settings) -> House:
    """Everything that the tests of jobs work with, and one owner."""
    made = House(engine, redis, settings)
    await made.owner()
    return made


@pytest.fixture
def wakeups(house: House) -> WakeupLog:
    return house.wakeups


@pytest.fixture
def world_settings(settings: Settings) -> Settings:
    """The settings of a simulated world: small bounds, so that they are met."""
    return settings.model_copy(
        update={"drain_grace": 1.0, "client_queue": 4, "pending_bytes": 1024, "trip_bytes": 1024}
    )


@pytest.fixture
def truth(world_settings: Settings) -> Iterator[Truth]:
    """What is stored, seen from outside a simulated world; its processes' logs are not kept."""
    made = Truth(world_settings.database_url, world_settings.redis_url, NAMESPACE, TTL)
    logging.disable(logging.CRITICAL)
    yield made
    logging.disable(logging.NOTSET)
    made.close()
