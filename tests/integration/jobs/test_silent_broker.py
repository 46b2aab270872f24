"""A broker that takes connections and says nothing: senders wait a moment, and few messages wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from time import perf_counter
from uuid import uuid4

import pytest

from shared.jobs import broker, wakeups
from shared.jobs.states import JobKind
from shared.jobs.wakeups import Wakeups
from shared.settings import Settings
from tests.support.proxy import Proxy, redis_address

PATIENCE = 0.2
MOST = 6


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the product, in tenths of the time."""
    monkeypatch.setattr(wakeups, "PATIENCE", PATIENCE)
    monkeypatch.setattr(wakeups, "MOST_WAITING", MOST)
    monkeypatch.setattr(broker, "TIMEOUT", 0.5)


@pytest.fixture
async def silent(redis_url: str) -> AsyncIterator[Proxy]:
    """A broker that says nothing until it is told to go on."""
    async with Proxy.to(redis_address(redis_url)) as proxy:
        proxy.stall()
        yield proxy


def through(proxy: Proxy, settings: Settings, scheme: str) -> Wakeups:
    url = {"amqp": f"amqp://127.0.0.1:{proxy.port}//", "redis": f"redis://127.0.0.1:{proxy.port}/0"}
    return Wakeups(settings.model_copy(update={"broker_url": url[scheme]}))


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
async def test_a_sender_waits_a_moment_once(silent: Proxy, settings: Settings, scheme: str) -> None:
    made = through(silent, settings, scheme)
    try:
        began = perf_counter()
        assert not await made.send(JobKind.CHAT, uuid4())
        first = perf_counter() - began
        began = perf_counter()
        assert not await made.send(JobKind.CHAT, uuid4())
        assert perf_counter() - began < PATIENCE / 2
        assert PATIENCE <= first < 2 * PATIENCE
    finally:
        made.close()


async def test_what_waits_has_a_bound_and_goes_when_the_broker_is_back(
    silent: Proxy, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    made = through(silent, settings, "redis")
    try:
        with caplog.at_level(logging.WARNING):
            sent = await asyncio.gather(*(made.send(JobKind.CHAT, uuid4()) for _ in range(10 * MOST)))
        assert not any(sent)
        # Two are under way, the others wait for a thread.
        assert made._threads._work_queue.qsize() <= MOST
        assert [one.message for one in caplog.records if "dropped" in one.message] == [
            "the broker takes nothing: wake-ups are dropped; the sweep makes them up"
        ]
        silent.resume()
        async with asyncio.timeout(10):
            while not await made.send(JobKind.CHAT, uuid4()):
                await asyncio.sleep(0.01)
        assert 0 < await made.waiting(JobKind.CHAT) < 10 * MOST
    finally:
        made.close()


async def test_many_go_in_several_calls(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeups, "AT_ONCE", 4)
    monkeypatch.setattr(wakeups, "PATIENCE", 10.0)
    made = Wakeups(settings)
    try:
        assert await made.send(JobKind.CHAT, None, 11)
        assert await made.waiting(JobKind.CHAT) == 11
    finally:
        made.close()
