"""A client that hangs up: its turn goes on, unless it asked for the contrary and nobody else watches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.stack import Stack, StackUser

#: A turn of minutes.
ENDLESS = "[[fake tokens=1000 tps=5]]"

Sent = tuple[asyncio.Task[Any], str]


async def sending(http: httpx.AsyncClient, stack: Stack, path: str, **fields: Any) -> Sent:
    """Send a request that waits for an endless answer, and the id of the turn it began."""
    task = asyncio.create_task(http.post(path, json={"model": "fake", **fields}))
    await stack.model.await_("tokens", 1)
    sessions = (await http.get("/api/chat/sessions/active")).json()["sessions"]
    return task, sessions[0]["session_id"]


async def hang_up(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def ended(http: httpx.AsyncClient, session_id: str) -> str:
    """The status of a turn when it has ended: its events end then."""
    await http.get(f"/api/chat/events/{session_id}")
    status: str = (await http.get(f"/api/chat/status/{session_id}")).json()["status"]
    return status


async def test_send_is_cancelled_by_the_hang_up_of_a_client_that_asked_for_it(
    stack: Stack, user: StackUser
) -> None:
    async with user.http() as http:
        task, session_id = await sending(
            http, stack, "/api/chat/send", message=ENDLESS, on_disconnect="cancel"
        )
        await hang_up(task)
        await stack.model.await_("aborted")
        assert await ended(http, session_id) == "cancelled"


async def test_send_goes_on_when_the_client_did_not_ask(stack: Stack, user: StackUser) -> None:
    async with user.http() as http:
        task, session_id = await sending(http, stack, "/api/chat/send", message="[[fake tokens=20 tps=40]]")
        await hang_up(task)
        assert await ended(http, session_id) == "succeeded"
    assert "aborted" not in stack.model.counters()


async def test_a_second_watcher_keeps_the_turn(stack: Stack, user: StackUser) -> None:
    async with user.http() as http, user.http() as other:
        task, session_id = await sending(
            http, stack, "/api/chat/send", message="[[fake tokens=30 tps=20]]", on_disconnect="cancel"
        )
        async with other.stream("GET", f"/api/chat/events/{session_id}") as events:
            lines = events.aiter_lines()
            async for line in lines:
                if line.startswith("event: chunk"):
                    break
            await hang_up(task)
            rest = [line async for line in lines]
        assert "event: done" in rest
        assert await ended(http, session_id) == "succeeded"


@pytest.mark.parametrize("headers", [{}, {"accept": "text/event-stream"}], ids=["whole", "stream"])
async def test_regenerate_is_cancelled_too(
    stack: Stack, user: StackUser, headers: dict[str, str], regenerated: Callable[..., str]
) -> None:
    async with user.http() as http:
        path = regenerated(user)
        stack.model.reset()
        task = asyncio.create_task(
            http.post(
                path, json={"model": "fake/tps=5,tokens=1000", "on_disconnect": "cancel"}, headers=headers
            )
        )
        await stack.model.await_("tokens", 1)
        session_id = (await http.get("/api/chat/sessions/active")).json()["sessions"][0]["session_id"]
        await hang_up(task)
        await stack.model.await_("aborted")
        assert await ended(http, session_id) == "cancelled"


async def test_a_stream_that_is_closed_early_is_cancelled(stack: Stack, user: StackUser) -> None:
    async with user.http() as http:
        body = {"message": ENDLESS, "on_disconnect": "cancel"}
        async with http.stream("POST", "/api/chat/stream", json=body) as events:
            session_id = events.headers["x-session-id"]
            async for line in events.aiter_lines():
                if line.startswith("event: chunk"):
                    break
        await stack.model.await_("aborted")
        assert await ended(http, session_id) == "cancelled"


@pytest.fixture
def regenerated() -> Callable[..., str]:
    """The path that answers a message of the user again."""

    def path(user: StackUser) -> str:
        answer = user.post("/api/chat/send", json={"message": "hello"})
        return f"/api/conversations/{answer['conversation_id']}/messages/{answer['message_id']}/regenerate"

    return path
