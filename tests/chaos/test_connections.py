"""Connections break in every way that a network knows."""

from __future__ import annotations

import asyncio

import pytest

from tests.chaos.conftest import RunSystem
from tests.support.proxy import Proxy

pytestmark = pytest.mark.slow

#: What the replies of are lost: the commit of an answer, the append of events, the renewal of leases.
REPLIES = {"postgres": b"COMMIT", "redis": b"EVALSHA"}


async def break_connections(proxy: Proxy, replies: bytes | None) -> None:
    """Cut, cut again, half-close, lose replies, stall."""
    await asyncio.sleep(2.0)
    proxy.cut()
    await asyncio.sleep(1.0)
    proxy.cut(lambda number: number % 2 == 0)
    await asyncio.sleep(1.0)
    proxy.half_close()
    await asyncio.sleep(1.0)
    if replies is not None:
        proxy.lose_replies(replies, 6)
        await asyncio.sleep(1.5)
    proxy.refusing = True
    proxy.cut()
    await asyncio.sleep(1.0)
    proxy.refusing = False
    await asyncio.sleep(0.5)
    proxy.stall()
    await asyncio.sleep(1.5)
    proxy.resume()


@pytest.mark.parametrize(
    "between", ["worker_redis", "gateway_redis", "worker_postgres", "gateway_postgres", "provider"]
)
async def test_cut_connections_lose_nothing(run_system: RunSystem, between: str) -> None:
    async with run_system(proxied=True, max_attempts=10) as system:
        proxy = system.proxy(between)
        replies = REPLIES.get(between.rpartition("_")[2])
        # A provider that breaks in mid-answer fails the turn: that is no loss, and the client is told.
        await system.under_load(
            break_connections(proxy, replies),
            seed=21,
            clients=25,
            duration=11.0,
            failing=between == "provider",
        )
        if replies is not None:
            assert proxy.lost_replies > 0
