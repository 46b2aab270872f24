"""A provider that is silent is left in time, and the message names the setting to raise."""

from __future__ import annotations

import asyncio
import socket

import pytest

from shared.errors import ProviderTimeoutError
from shared.schemas.provider_settings import OpenAISettings
from tests.integration.providers.conftest import Reach, text_of
from tests.integration.providers.sockets import serving


@pytest.mark.parametrize(
    ("model", "name", "before"),
    [
        ("fault-silent", "first_token", ""),
        ("slow-first:30s", "first_token", ""),
        ("fake/first=30,headers=late", "first_token", ""),
        ("fault-hang@3", "between_tokens", "t0 t1 t2 "),
        ("fault-silent", "total", ""),
        ("fake/tokens=1000,tps=50", "total", None),
        ("fault-hang@3", "total", "t0 t1 t2 "),
    ],
)
async def test_each_limit(reach: Reach, model: str, name: str, before: str | None) -> None:
    started = asyncio.get_running_loop().time()
    chunks, error = await reach.until_error(reach.request(model, **{name: 0.3}))
    took = asyncio.get_running_loop().time() - started
    assert isinstance(error, ProviderTimeoutError)
    assert f"({name})" in error.detail
    assert "0.3 s" in error.detail
    assert f"timeouts.{name}" in error.detail
    assert 0.29 <= took < 2
    if before is None:
        assert text_of(chunks).startswith("t0 t1 t2 ")
    else:
        assert text_of(chunks) == before
    # The provider's socket went with it.
    await reach.server.await_("aborted")


async def test_comments_do_not_count_as_tokens(openai: Reach) -> None:
    async def comment(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        while True:
            writer.write(b": still here\n\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with serving(comment) as port:
        settings = OpenAISettings.model_validate({"base_url": f"http://127.0.0.1:{port}/v1"})
        _, error = await openai.until_error(openai.request(settings=settings, first_token=0.3))
    assert isinstance(error, ProviderTimeoutError)
    assert "first_token" in error.detail


async def test_a_connection_that_is_never_taken_up(openai: Reach) -> None:
    # A full backlog leaves further connections unanswered, as a firewall does.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        settings = OpenAISettings.model_validate({"base_url": f"http://127.0.0.1:{address[1]}/v1"})
        _, error = await openai.until_error(openai.request(settings=settings, connect=0.2, total=5))
        for filler in fillers:
            filler.close()
    assert isinstance(error, ProviderTimeoutError)
    assert "(connect)" in error.detail
    assert "PARLEY_PROVIDER_CONNECT_TIMEOUT" in error.detail


async def test_a_whole_answer_is_limited_by_total_alone(reach: Reach) -> None:
    response = await reach.provider.send_message(
        reach.request("slow-first:0.4s", first_token=0.1, between_tokens=0.1)
    )
    assert response.content
    with pytest.raises(ProviderTimeoutError, match=r"\(total\)"):
        await reach.provider.send_message(reach.request("slow-first:30s", total=0.2))


async def test_a_slow_reader_is_not_the_providers_fault(reach: Reach) -> None:
    request = reach.request("fake/tokens=3", between_tokens=0.1)
    text = ""
    async for chunk in reach.provider.send_message_stream(request):
        text += chunk.content
        await asyncio.sleep(0.15)
    assert text == "t0 t1 t2 "
