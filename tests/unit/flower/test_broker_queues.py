"""Lengths of queues are asked of the management interface that is named, and of nobody else."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("tornado", reason="Flower is not installed")

from deploy.broker_queues import UnavailableError, ask, handlers
from shared.settings import Settings

NAMES = ["parley.chat", "parley.query"]
QUEUES = [
    {"name": "parley.chat", "messages": 3},
    {"name": "parley.query"},
    {"name": "celeryev.5", "messages": 100},
]


class Asked:
    """What the interface was asked for."""

    def __init__(self) -> None:
        self.path = self.user = ""

    def note(self, head: str) -> None:
        self.path = head.split()[1]
        [word] = [line.split()[-1] for line in head.splitlines() if line.lower().startswith("authorization")]
        self.user = base64.b64decode(word).decode()


@asynccontextmanager
async def management(
    asked: Asked, status: str = "200 OK", body: Any = QUEUES, more: str = ""
) -> AsyncIterator[str]:
    """An interface that gives one answer to whatever it is asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.note((await reader.readuntil(b"\r\n\r\n")).decode())
        told = body if isinstance(body, str) else json.dumps(body)
        writer.write(f"HTTP/1.1 {status}\r\n{more}Content-Length: {len(told)}\r\n\r\n{told}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("ending", ["", "/", "/api", "/api/"])
async def test_queues_of_the_virtual_host_are_asked_for(ending: str) -> None:
    asked = Asked()
    async with management(asked) as host:
        settings = Settings(
            broker_url="amqp://parley:secret@127.0.0.1/a%2Fb",
            flower_broker_api=f"http://looks:p%40ss@{host}{ending}",
        )
        assert await ask(settings, NAMES) == QUEUES[:2]
    assert asked.path.partition("?")[0] == "/api/queues/a%2Fb"
    assert asked.user == "looks:p@ss"


@pytest.mark.parametrize("end", ["", "/", "//", "/%2F"])
async def test_without_a_user_of_its_own_the_brokers_asks(end: str) -> None:
    asked = Asked()
    async with management(asked) as host:
        settings = Settings(
            broker_url=f"amqp://parley:s%3Aecret@127.0.0.1{end};amqp://other//",
            flower_broker_api=f"http://{host}",
        )
        assert await ask(settings, NAMES) == QUEUES[:2]
    assert asked.path.partition("?")[0] == "/api/queues/%2F"
    assert asked.user == "parley:s:ecret"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"status": "401 Unauthorized", "body": {"error": "not_authorised"}}, "HTTP 401"),
        ({"status": "302 Found", "more": "Location: http://127.0.0.1:1/\r\n"}, "HTTP 302"),
        ({"body": "<html>"}, "Expecting value"),
        ({"body": {"error": "none"}}, "something else than a list of queues"),
        ({"body": [{"messages": 1}]}, "something else than a list of queues"),
    ],
)
async def test_an_answer_that_is_none_is_told(
    answer: dict[str, Any], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with management(Asked(), **answer) as host:
        settings = Settings(broker_url="amqp://rabbit", flower_broker_api=f"http://looks:hunter2@{host}")
        with pytest.raises(UnavailableError, match=told) as why:
            await ask(settings, NAMES)
    assert "hunter2" not in f"{why.value}{caplog.text}"


async def test_nobody_there_is_told(unused_tcp_port_factory: Callable[[], int]) -> None:
    settings = Settings(
        broker_url="amqp://rabbit", flower_broker_api=f"http://127.0.0.1:{unused_tcp_port_factory()}"
    )
    with pytest.raises(UnavailableError, match="gives none"):
        await ask(settings, NAMES)


@pytest.mark.parametrize("scheme", ["amqp", "amqps"])
async def test_nobody_is_asked_unless_named(scheme: str) -> None:
    asked = Asked()
    async with management(asked) as host:
        # On whatever port, it is not the one that is named.
        with pytest.raises(UnavailableError, match="PARLEY_FLOWER_BROKER_API names no management interface"):
            await ask(Settings(broker_url=f"{scheme}://parley:secret@{host}"), NAMES)
    assert asked.path == ""


def test_pages_are_replaced_for_rabbitmq_only() -> None:
    paths = [path for path, _ in handlers(Settings(broker_url="amqps://rabbit"))]
    assert paths == ["/broker", "/api/queues/length"]
    assert handlers(Settings()) == handlers(Settings(broker_url="redis://other")) == []
