"""A call is tried again only before its first token, and waits as long as the provider asks."""

from __future__ import annotations

import asyncio
import socket
import time
from email.utils import formatdate

import pytest

from shared import errors
from shared.schemas.provider_settings import OpenAISettings
from shared.settings import Settings
from tests.fakes.process import ModelServer
from tests.integration.providers.conftest import Reach, settings_for, text_of
from tests.integration.providers.sockets import serving
from workers.providers import ProviderFactory, ProviderHttpClient

TEN = "".join(f"t{index} " for index in range(10))


@pytest.mark.parametrize("fault", ["429x2", "502x2", "503x2", "504x2", "closex2"])
async def test_two_failures_are_survived(reach: Reach, fault: str) -> None:
    assert text_of(await reach.chunks(reach.request(f"fault-{fault}"))) == TEN
    assert len(await reach.server.alog()) == 3
    response = await reach.provider.send_message(reach.request(f"fake/fault={fault}"))
    assert response.content == TEN
    assert len(await reach.server.alog()) == 6


@pytest.mark.parametrize(
    ("fault", "tries"), [("503x3", 3), ("429x3", 3), ("500", 1), ("400", 1), ("401", 1), ("529", 1)]
)
async def test_no_more_tries_than_set_and_only_for_what_may_pass(
    reach: Reach, fault: str, tries: int
) -> None:
    await reach.until_error(reach.request(f"fault-{fault}"))
    assert len(await reach.server.alog()) == tries


@pytest.mark.parametrize("fault", ["truncate@0", "error@0", "truncate@3", "end@0", "empty"])
async def test_an_answer_that_began_is_never_asked_for_again(reach: Reach, fault: str) -> None:
    await reach.until_error(reach.request(f"fault-{fault}"))
    assert len(await reach.server.alog()) == 1


async def test_without_retries_there_is_one_try(server: ModelServer) -> None:
    client = ProviderHttpClient(Settings(provider_retries=0))
    reach = Reach(ProviderFactory.create_provider("openai", client), settings_for("openai", server), server)
    _, error = await reach.until_error(reach.request("fault-503x1"))
    assert isinstance(error, errors.ProviderUnavailableError)
    assert len(await server.alog()) == 1
    await client.aclose()


async def test_the_wait_that_is_asked_for_is_kept(reach: Reach) -> None:
    await reach.chunks(reach.request("fake/fault=429x1,retry_after=0.15"))
    first, second = await reach.server.alog()
    assert 0.15 <= (second["at"] - first["at"]) / 1e9 < 1


async def test_a_long_wait_is_capped(reach: Reach) -> None:
    await reach.chunks(reach.request("fake/fault=429x1,retry_after=3600"))
    first, second = await reach.server.alog()
    assert 0.19 <= (second["at"] - first["at"]) / 1e9 < 1


async def test_the_wait_may_be_a_date(openai: Reach) -> None:
    date = formatdate(time.time() + 3600, usegmt=True).replace(" ", "%20")
    await openai.chunks(openai.request("fake", f"[[fake fault=429x1 retry_after={date}]]"))
    first, second = await openai.server.alog()
    assert 0.19 <= (second["at"] - first["at"]) / 1e9 < 1


@pytest.mark.parametrize("value", ["soon", "-5", "nan"])
async def test_a_wait_that_makes_no_sense_is_no_reason_to_fail(reach: Reach, value: str) -> None:
    assert text_of(await reach.chunks(reach.request(f"fake/fault=429x1,retry_after={value}"))) == TEN


async def test_a_wait_beyond_the_total_is_not_begun(server: ModelServer) -> None:
    client = ProviderHttpClient(Settings())
    reach = Reach(ProviderFactory.create_provider("openai", client), settings_for("openai", server), server)
    started = time.monotonic()
    _, error = await reach.until_error(reach.request("fake/fault=429x1,retry_after=20", total=5))
    assert time.monotonic() - started < 1
    assert isinstance(error, errors.ProviderRateLimitedError)
    assert "wait 20 s" in error.detail
    await client.aclose()


async def test_a_provider_that_comes_up_in_between_is_reached(server: ModelServer) -> None:
    client = ProviderHttpClient(Settings(provider_retries=10), first_backoff=0.05)
    reach = Reach(ProviderFactory.create_provider("openai", client), settings_for("openai", server), server)
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    settings = OpenAISettings.model_validate({"base_url": f"http://127.0.0.1:{port}/v1"})
    call = asyncio.create_task(reach.chunks(reach.request("fake/tokens=2,framing=close", settings=settings)))
    await asyncio.sleep(0.1)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", server.port)
        inner_writer.write(await reader.read(65536))
        while data := await inner_reader.read(65536):
            writer.write(data)
        inner_writer.close()
        await inner_writer.wait_closed()

    async with serving(relay, port):
        assert text_of(await call) == "t0 t1 "
        await client.aclose()


async def test_the_wait_can_be_cancelled(server: ModelServer) -> None:
    client = ProviderHttpClient(Settings())
    reach = Reach(ProviderFactory.create_provider("openai", client), settings_for("openai", server), server)
    call = asyncio.create_task(reach.chunks(reach.request("fake/fault=429x1,retry_after=5")))
    await server.await_("ended")
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert len(await server.alog()) == 1
    await client.aclose()
