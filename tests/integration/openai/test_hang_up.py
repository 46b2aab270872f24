"""A client that closes early cancels; a worker that is lost is noticed only after the first delta."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.support.servers import Databases, running_redis
from tests.support.stack import Stack, StackUser, running_stack

ENDLESS: list[Any] = [{"role": "user", "content": "[[fake tokens=1000 tps=5]]"}]


async def last_job(user: StackUser) -> dict[str, Any]:
    """The user's newest job, when it has ended."""
    async with user.http() as http:
        job_id = (await http.get("/api/jobs")).json()["items"][0]["id"]
        await http.get(f"/api/chat/events/{job_id}")
        job: dict[str, Any] = (await http.get(f"/api/jobs/{job_id}")).json()
    return job


async def test_closing_a_stream_cancels_the_turn(
    client: openai.AsyncOpenAI, user: StackUser, stack: Stack
) -> None:
    stream = await client.chat.completions.create(model="fake", messages=ENDLESS, stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()
    await stack.model.await_("aborted")
    assert (await last_job(user))["status"] == "cancelled"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_so_does_giving_up_before_the_first_delta(
    client: openai.AsyncOpenAI, user: StackUser, stack: Stack, stream: bool
) -> None:
    messages: list[Any] = [{"role": "user", "content": "[[fake first=60]]"}]
    waiting = asyncio.ensure_future(
        client.chat.completions.create(model="fake", messages=messages, stream=stream)
    )
    await stack.model.await_("requests")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await stack.model.await_("aborted")
    assert (await last_job(user))["status"] == "cancelled"


async def test_a_stream_that_was_read_to_its_end_is_not_cancelled(
    client: openai.AsyncOpenAI, user: StackUser
) -> None:
    for _ in range(5):
        stream = await client.chat.completions.create(
            model="fake", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        assert [chunk async for chunk in stream][-1].choices[0].finish_reason == "stop"
        job = await last_job(user)
        assert (job["status"], job["post_response"]) == ("succeeded", "done")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_turn_that_somebody_else_cancels(
    client: openai.AsyncOpenAI, user: StackUser, stack: Stack, stream: bool
) -> None:
    async def read() -> None:
        made = await client.chat.completions.create(model="fake", messages=ENDLESS, stream=stream)
        async for _ in made:
            pass

    reading = asyncio.ensure_future(read())
    await stack.model.await_("tokens", 2)
    async with user.http() as http:
        job_id = (await http.get("/api/jobs")).json()["items"][0]["id"]
        await http.post(f"/api/chat/cancel/{job_id}")
    with pytest.raises(openai.APIError) as caught:
        await reading
    assert caught.value.code == "cancelled"
    if not stream:
        assert isinstance(caught.value, openai.ConflictError)
        assert caught.value.response.headers["x-should-retry"] == "false"


@pytest.fixture
def own_stack(databases: Databases, postgres_url: str) -> Iterator[Stack]:
    """A stack whose workers may be killed, and whose leases end soon."""
    with (
        running_redis() as redis_url,
        running_stack(
            database_url=postgres_url, redis_url=redis_url, workers=2, lease_ttl=0.6, sweep_interval=0.5
        ) as stack,
    ):
        yield stack


async def test_a_worker_that_is_lost(own_stack: Stack) -> None:
    stack = own_stack
    user = stack.user()
    user.connect()

    def kill_who_runs_it() -> None:
        job = user.get("/api/jobs")["items"][0]
        attempt = user.get(f"/api/jobs/{job['id']}")["attempts"][-1]
        (worker,) = [w for w in stack.workers if attempt["worker"].endswith(f":{w.pid}")]
        worker.kill()

    async with openai.AsyncOpenAI(
        base_url=f"{stack.url}/v1", api_key=user.key, max_retries=0, timeout=60
    ) as client:
        # Before the first delta nobody notices: the other worker answers.
        messages: list[Any] = [{"role": "user", "content": "[[fake first=2 tokens=3]]"}]
        waiting = asyncio.ensure_future(
            client.chat.completions.create(model="fake", messages=messages, stream=True)
        )
        await stack.model.await_("requests")
        await asyncio.to_thread(kill_who_runs_it)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in await waiting])
        assert text == "t0 t1 t2 "
        assert user.get("/api/jobs")["items"][0]["attempt"] == 2
        # After it the stream ends with an error, and the turn that nobody can take is cancelled.
        stack.model.reset()
        stack.start_worker()
        stream = await client.chat.completions.create(model="fake", messages=ENDLESS, stream=True)

        async def read() -> None:
            async for chunk in stream:
                if chunk.choices[0].delta.content == "t0 ":
                    await asyncio.to_thread(kill_who_runs_it)

        with pytest.raises(openai.APIError) as caught:
            await read()
        assert caught.value.code == "stream_interrupted"
    assert (await last_job(user))["status"] == "cancelled"
