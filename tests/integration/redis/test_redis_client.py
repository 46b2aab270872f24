"""A task that is cancelled in the middle of a Redis command is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from shared.redis_client import connect


@pytest.mark.parametrize("warm", [False, True])
async def test_no_cancellation_is_lost_at_any_step_of_a_command(redis_url: str, warm: bool) -> None:
    for step in range(1000):
        client = connect(redis_url, 1.0)
        if warm:
            await client.ping()
        task = asyncio.create_task(client.execute_command("PING"))
        for _ in range(step):
            await asyncio.sleep(0)
        if task.done():
            await client.aclose()
            break
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await client.execute_command("PING")  # no reply of the cancelled one is left over
        await client.aclose()
    assert step > 1
