"""Cancelling the task that waits for the next chunk closes the provider's socket at once."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from tests.integration.providers.conftest import Reach
from workers.providers import ChatRequest

#: Generous for a busy machine; the median is far below a millisecond.
LATEST = 0.1  # seconds


async def cancelled(reach: Reach, request: ChatRequest, event: str, *, stream: bool = True) -> float:
    """Cancel when ``event`` was seen; seconds until the server saw the connection go."""

    async def call() -> None:
        if stream:
            async for _ in reach.provider.send_message_stream(request):
                pass
        else:
            await reach.provider.send_message(request)

    task = asyncio.create_task(call())
    await reach.server.await_(event)
    at = time.monotonic_ns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await reach.server.await_("aborted")
    (entry,) = await reach.server.alog()
    reach.server.reset()
    return float(entry["closed_at"] - at) / 1e9


@pytest.mark.parametrize(
    ("model", "event", "stream"),
    [
        ("fake/tokens=10000,tps=100", "tokens", True),
        ("slow-first:60s", "requests", True),
        ("fake/first=60,headers=late", "requests", True),
        ("fault-silent", "requests", True),
        ("fault-hang@3", "tokens", True),
        ("slow-first:60s", "requests", False),
    ],
)
async def test_the_socket_is_closed_at_once(reach: Reach, model: str, event: str, stream: bool) -> None:
    waits = sorted([await cancelled(reach, reach.request(model), event, stream=stream) for _ in range(9)])
    assert waits[4] < 0.01
    assert waits[-1] < LATEST


async def test_closing_the_generator_closes_the_socket(reach: Reach) -> None:
    async with contextlib.aclosing(
        reach.provider.send_message_stream(reach.request("fake/tps=20"))
    ) as stream:
        async for chunk in stream:
            assert chunk.content == "t0 "
            break
    await reach.server.await_("aborted")


async def test_a_client_that_closes_leaves_no_socket(reach: Reach) -> None:
    await reach.chunks(reach.request())
    await reach.provider._client.aclose()  # type: ignore[attr-defined]
    await reach.server.await_("closed")
    (entry,) = await reach.server.alog()
    assert entry["aborted"] is False
