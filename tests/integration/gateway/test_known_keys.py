"""A key is looked up once a second at most, and a revoked one is not taken for longer than that."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from gateway.known_keys import TRUSTED, KnownKeys
from shared.database import direct
from shared.database.repositories import identity
from shared.security import keys

_REVOKE = text("UPDATE api_keys SET revoked_at = now() WHERE key_hash = :key_hash")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def key_hash(engine: AsyncEngine) -> bytes:
    sessions = async_sessionmaker(engine)
    async with sessions.begin() as session:
        user = await identity.create_user(session, "ada")
        _, key = await identity.create_key(session, user.id, "test")
    return keys.hash_key(key)


async def test_an_answer_stands_for_a_second(engine: AsyncEngine, key_hash: bytes) -> None:
    clock = Clock()
    known = KnownKeys(engine, clock)
    first = await known.identify(key_hash)
    assert first is not None
    await direct.execute(engine, _REVOKE, {"key_hash": key_hash})
    clock.now += TRUSTED * 0.99
    assert await known.identify(key_hash) is first
    clock.now += TRUSTED * 0.02
    assert await known.identify(key_hash) is None


async def test_who_revokes_it_refuses_it_at_once(engine: AsyncEngine, key_hash: bytes) -> None:
    known = KnownKeys(engine, Clock())
    assert await known.identify(key_hash) is not None
    await direct.execute(engine, _REVOKE, {"key_hash": key_hash})
    known.forget()
    assert await known.identify(key_hash) is None


async def test_a_look_up_that_was_under_way_is_not_remembered(engine: AsyncEngine, key_hash: bytes) -> None:
    known = KnownKeys(engine, Clock())
    looking = asyncio.create_task(known.identify(key_hash))
    await asyncio.sleep(0)
    known.forget()
    assert await looking is not None
    await direct.execute(engine, _REVOKE, {"key_hash": key_hash})
    assert await known.identify(key_hash) is None


async def test_what_is_refused_is_asked_again(engine: AsyncEngine, key_hash: bytes) -> None:
    known = KnownKeys(engine, Clock())
    await direct.execute(engine, _REVOKE, {"key_hash": key_hash})
    assert await known.identify(key_hash) is None
    await direct.execute(engine, text("UPDATE api_keys SET revoked_at = NULL"))
    assert await known.identify(key_hash) is not None
