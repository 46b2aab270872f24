"""One pool for a process: connections are used again, and calls do not see each other."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from shared.settings import Settings
from tests.fakes.process import ModelServer
from tests.integration.providers.conftest import Reach, settings_for, text_of
from workers.providers import ProviderFactory, ProviderHttpClient


async def test_connections_are_used_again(reach: Reach) -> None:
    for model in ("fake", "fake/tps=500", "fault-400", "fake/tools=1", "fake/thinking=field"):
        with contextlib.suppress(Exception):
            await reach.chunks(reach.request(model))
    await reach.provider.send_message(reach.request())
    log = await reach.server.alog()
    assert len(log) == 6
    assert len({entry["connection"] for entry in log}) == 1


async def test_cookies_of_a_provider_are_not_kept(reach: Reach) -> None:
    await reach.chunks(reach.request())
    await reach.chunks(reach.request())
    assert all("cookie" not in entry["headers"] for entry in await reach.server.alog())


async def test_the_environment_has_no_say(
    reach: Reach, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    client = ProviderHttpClient(Settings())
    provider = ProviderFactory.create_provider(reach.provider.provider_type, client)
    kind = str(reach.provider.provider_type)
    other = Reach(provider, settings_for(kind, reach.server, api_key=None), reach.server)
    await other.chunks(other.request())
    (entry,) = await reach.server.alog()
    assert "authorization" not in entry["headers"]
    await client.aclose()


@pytest.mark.parametrize(("limit", "connections"), [(0, 20), (3, 3)])
async def test_the_pool_is_as_large_as_set(server: ModelServer, limit: int, connections: int) -> None:
    client = ProviderHttpClient(Settings(provider_max_connections=limit))
    reach = Reach(ProviderFactory.create_provider("openai", client), settings_for("openai", server), server)
    answers = await asyncio.gather(*(reach.chunks(reach.request("fake/first=0.1")) for _ in range(20)))
    assert {text_of(answer) for answer in answers} == {"".join(f"t{index} " for index in range(10))}
    assert len({entry["connection"] for entry in await server.alog()}) == connections
    await client.aclose()


async def test_many_streams_at_once_stay_apart(reach: Reach) -> None:
    async def one(number: int) -> str:
        words = "%20".join(f"w{number}.{index}" for index in range(20))
        return text_of(await reach.chunks(reach.request("fake/tps=100", f"[[fake text={words}]]")))

    texts = await asyncio.gather(*(one(number) for number in range(50)))
    for number, text in enumerate(texts):
        assert text.split() == [f"w{number}.{index}" for index in range(20)]


async def test_a_connection_that_died_idle_is_replaced(reach: Reach) -> None:
    await reach.chunks(reach.request("fake/framing=close"))
    await reach.server.await_("closed")
    await reach.chunks(reach.request())
    log = await reach.server.alog()
    assert len({entry["connection"] for entry in log}) == 2
