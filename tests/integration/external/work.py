"""What a Parley does in a day, over HTTP: turns, an operation that a worker answers, a cancel, a run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import httpx

from tests.integration.chat.talk import read_events
from tests.integration.gateway.test_experiments_whole import CONFIG, followed
from tests.support.stack import Stack, StackUser, running_stack


@contextlib.contextmanager
def stack_of(**settings: Any) -> Iterator[Stack]:
    """A stack with these settings, whose processes are quoted when something fails."""
    with running_stack(**settings) as stack:
        try:
            yield stack
        except BaseException:
            for log in sorted(stack.directory.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-6000:]}")
            raise


async def a_day(stack: Stack, *, experiment: bool = True) -> None:
    """Do it all once, each to its end."""
    user = stack.user()
    connection = user.connect()
    async with user.http() as http:
        await turns(http)
        await cancelled(http)
        await hung_up(user, http)
        tested = await http.post(f"/api/connections/{connection['id']}/test")
        assert tested.json()["status"] == "connected", tested.text
        if experiment:
            await a_run(user, http)


async def turns(http: httpx.AsyncClient) -> None:
    """One that waits for its answer, and one that is streamed."""
    sent = await http.post("/api/chat/send", json={"message": "[[fake tokens=3]]"})
    assert sent.status_code == 200, sent.text
    assert sent.json()["content"].split() == ["t0", "t1", "t2"], sent.text
    events = await streamed(http, "[[fake tokens=20 tps=100]]")
    assert "".join(data["content"] for kind, data in events if kind == "chunk").split() == [
        f"t{number}" for number in range(20)
    ]
    assert [kind for kind, _ in events if kind == "restart"] == []


async def streamed(http: httpx.AsyncClient, message: str, **body: Any) -> list[tuple[str, Any]]:
    """The events of a streamed turn, to its last one."""
    async with http.stream("POST", "/api/chat/stream", json={"message": message, **body}) as answer:
        assert answer.status_code == 200, await answer.aread()
        return [(event["event"], event["data"]) async for event in read_events(answer)]


async def cancelled(http: httpx.AsyncClient) -> None:
    """A turn that would take minutes, cancelled after its first token."""
    message = {"message": "[[fake tokens=2000 tps=10]]"}
    async with http.stream("POST", "/api/chat/stream", json=message) as answer:
        session = ""
        async for event in read_events(answer):
            if event["event"] == "session_start":
                session = event["data"]["session_id"]
            if event["event"] == "chunk" and session:
                told = await http.post(f"/api/chat/cancel/{session}")
                assert told.status_code == 200, told.text
                session = ""
            last = event["event"]
        assert last == "cancelled"


async def hung_up(user: StackUser, http: httpx.AsyncClient) -> None:
    """A turn that ends because its only client hung up and had asked for that."""
    body = {"message": "[[fake tokens=2000 tps=10]]", "on_disconnect": "cancel"}
    user.stack.model.reset()
    async with http.stream("POST", "/api/chat/stream", json=body) as answer:
        async for event in read_events(answer):
            if event["event"] == "chunk":
                break
    await asyncio.to_thread(user.stack.model.wait, "aborted", 1, 20.0)


async def a_run(user: StackUser, http: httpx.AsyncClient) -> None:
    """An experiment whose agents the fake model plays."""
    accepted = await http.post("/api/experiments", json={"config": CONFIG})
    assert accepted.status_code == 202, accepted.text
    path = f"/api/experiments/{accepted.json()['experiment_id']}"
    events = await followed(http, path)
    assert events[-1][1] == "experiment_finished"
    assert user.get(path)["status"] == "succeeded"
