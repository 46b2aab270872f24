"""Whoever has no key yet cannot fill the memory of a gateway."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from gateway.protocol import MAX_HEAD
from gateway.server import make_server


@pytest.fixture
async def address(app: FastAPI) -> AsyncIterator[tuple[str, int]]:
    """Where a real server of the gateway listens."""
    app.router.lifespan_context = _nothing  # the fixture `app` runs it already
    server = make_server(app, host="127.0.0.1", port=0)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0)
    yield server.servers[0].sockets[0].getsockname()[:2]
    server.should_exit = True
    await serving


@contextlib.asynccontextmanager
async def _nothing(_: FastAPI) -> AsyncIterator[None]:
    yield


async def sent_until_refused(
    writer: asyncio.StreamWriter, reader: asyncio.StreamReader, piece: bytes
) -> tuple[int, bytes]:
    """How much could be sent, and what was answered."""
    answer = asyncio.create_task(reader.read(4096))
    sent = 0
    with contextlib.suppress(ConnectionError):
        while not answer.done() and sent < 64 * MAX_HEAD:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
            await asyncio.sleep(0)
    return sent, await answer


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"GET /", b"a" * 10_000),
        (b"GET / HTTP/1.1\r\nX: ", b"a" * 10_000),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n" * 1_000),
        (b"GET / HTTP/1.1\r\n", b"a" * 10_000),
    ],
    ids=["line", "value", "many", "name"],
)
async def test_a_head_without_an_end_is_hung_up_on(
    address: tuple[str, int], begin: bytes, piece: bytes
) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(begin)
    async with asyncio.timeout(20):
        sent, answer = await sent_until_refused(writer, reader, piece)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400"), answer
    assert sent < 64 * MAX_HEAD
    writer.close()


async def test_heads_are_counted_one_by_one_and_without_their_bodies(address: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    head = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nX: %b\r\n\r\n"
    async with asyncio.timeout(20):
        for body in (b"", b"b" * (2 * MAX_HEAD), b""):
            for _ in range(4):
                writer.write(head % (len(body), b"a" * (MAX_HEAD // 5)) + body)
                await writer.drain()
                assert (await reader.readline()).startswith(b"HTTP/1.1 404")
                answered = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.partition(b":")[2])
                    for line in answered.lower().splitlines()
                    if line.startswith(b"content-length")
                )
                await reader.readexactly(length)
    writer.close()
