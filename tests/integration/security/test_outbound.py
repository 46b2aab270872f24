"""What a provider's host name resolves to is looked at where it is connected to: in the real connector."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from shared.errors import OutboundAddressError, ProviderConnectionError
from shared.schemas.provider_settings import OpenAISettings
from shared.security.outbound import OutboundRules, OutboundTarget
from shared.settings import Settings
from tests.fakes.process import ModelServer, start_model_server
from workers.providers import ProviderFactory, ProviderHttpClient
from workers.providers.base.connector import AddressRefusedError, GuardedConnector
from workers.providers.base.http_client import ProviderCall
from workers.providers.base.timeouts import CallTimeouts

#: Where nothing listens: a connection fails, but where it is listed Parley does not refuse it.
NOWHERE = "::1"


class Names(AbstractResolver):
    """Answers from a list, one answer a look-up; the last one again and again."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        answers = self.answers[host.partition(".")[0]]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with start_model_server() as server:
        yield server


@asynccontextmanager
async def client(
    names: AbstractResolver | None, mode: str, *allowed: str
) -> AsyncIterator[ProviderHttpClient]:
    settings = Settings.model_validate(
        {"outbound_private": mode, "outbound_allow": allowed, "provider_retries": 0}
    )
    made = ProviderHttpClient(settings, resolver=names)
    yield made
    await made.aclose()


async def models(
    client: ProviderHttpClient, server: ModelServer, host: str, *, of_admin: bool = False
) -> int:
    """Ask for the models of the server under another host name; how many there are."""
    port = server.openai_url.rpartition(":")[2]
    provider = ProviderFactory.create_provider("openai", client, of_admin=of_admin)
    settings = OpenAISettings(base_url=f"http://{host}:{port}")
    return len(await provider.list_models(settings, CallTimeouts.resolve(None, client.settings)))


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "0.0.0.0", "fe80::1", "169.254.169.254", "::"],
)
async def test_a_name_that_leads_inside_is_refused(server: ModelServer, address: str) -> None:
    async with client(Names(model=[[address]]), "admin") as http:
        with pytest.raises(OutboundAddressError, match="PARLEY_OUTBOUND_ALLOW") as caught:
            await models(http, server, "model.example")
    assert address not in caught.value.detail
    assert "model.example" not in caught.value.detail


async def test_an_administrators_calls_get_there_and_metadata_is_for_nobody(server: ModelServer) -> None:
    names = Names(model=[["127.0.0.1"]], cloud=[["169.254.169.254"]])
    async with client(names, "admin") as http:
        assert await models(http, server, "model.example", of_admin=True)
        with pytest.raises(OutboundAddressError):
            await models(http, server, "cloud.example", of_admin=True)


async def test_a_connection_of_an_administrator_is_no_way_in_for_others(server: ModelServer) -> None:
    """The pool keeps an open connection to the very host that the other call names."""
    async with client(Names(model=[["127.0.0.1"]]), "admin") as http:
        assert await models(http, server, "model.example", of_admin=True)
        with pytest.raises(OutboundAddressError):
            await models(http, server, "model.example")
        with pytest.raises(OutboundAddressError):
            await models(http, server, "127.0.0.1")


async def test_a_name_that_moves_inside_after_the_first_look_gains_nothing(server: ModelServer) -> None:
    names = Names(model=[[NOWHERE], ["127.0.0.1"]])
    async with client(names, "deny", NOWHERE) as http:
        with pytest.raises(ProviderConnectionError):
            await models(http, server, "model.example")
        http._pools[False]._transport.client.connector.clear_dns_cache()  # type: ignore[attr-defined]
        with pytest.raises(OutboundAddressError):
            await models(http, server, "model.example")
    assert len(names.asked) == 2
    assert names.closed


async def test_only_those_addresses_of_a_name_are_tried_that_may_be(server: ModelServer) -> None:
    """The loopback one would have answered."""
    async with client(Names(model=[["127.0.0.1", NOWHERE]]), "deny", NOWHERE) as http:
        with pytest.raises(ProviderConnectionError):
            await models(http, server, "model.example")


async def test_a_listed_name_may_lead_inside_and_its_neighbours_may_not(server: ModelServer) -> None:
    port = server.openai_url.removesuffix("/v1").rpartition(":")[2]
    names = Names(ollama=[["127.0.0.1"]], other=[["127.0.0.1"]])
    async with client(names, "deny", f"ollama.lan:{port}") as http:
        assert await models(http, server, "ollama.lan")
        with pytest.raises(OutboundAddressError):
            await models(http, server, "other.lan")
    async with client(names, "deny", "ollama.lan:1") as http:
        with pytest.raises(OutboundAddressError):
            await models(http, server, "ollama.lan")


async def test_a_listed_network_is_for_all(server: ModelServer) -> None:
    async with client(Names(model=[["127.0.0.1"]]), "deny", "127.0.0.0/8") as http:
        assert await models(http, server, "model.example")
        assert await models(http, server, "127.0.0.1")


async def test_the_systems_own_names_are_looked_at_alike(server: ModelServer) -> None:
    async with client(None, "deny") as http:
        with pytest.raises(OutboundAddressError):
            await models(http, server, "localhost")
    async with client(None, "allow") as http:
        assert await models(http, server, "localhost")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:7f00:1]", "169.254.169.254", "localhost"])
async def test_no_socket_is_opened_for_a_target_that_slipped_through(host: str) -> None:
    """The connector does not rely on the look at the spelling."""
    async with client(None, "deny") as http:
        call = ProviderCall(
            method="GET",
            target=OutboundTarget(f"http://{host}:9"),
            path="/models",
            timeouts=CallTimeouts.resolve(None, http.settings),
        )
        with pytest.raises(OutboundAddressError):
            await http.send(call)


async def test_no_form_of_loopback_gets_a_socket() -> None:
    rules = OutboundRules.of(Settings(outbound_private="deny"), private=False)
    async with GuardedConnector(rules, Names()) as connector:
        opener: Any = connector._socket_factory  # type: ignore[attr-defined]
        for family, address in (
            (socket.AF_INET, ("127.0.0.1", 80)),
            (socket.AF_INET6, ("::1", 80, 0, 0)),
            (socket.AF_INET6, ("fe80::1%1", 80, 0, 1)),
        ):
            with pytest.raises(AddressRefusedError):
                opener((family, socket.SOCK_STREAM, 0, "", address))
        opener((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("1.1.1.1", 80))).close()


async def test_many_calls_at_once_are_all_refused(server: ModelServer) -> None:
    async with client(Names(model=[["127.0.0.1"]]), "deny") as http:
        outcomes = await asyncio.gather(
            *(models(http, server, "model.example") for _ in range(20)), return_exceptions=True
        )
    assert all(isinstance(outcome, OutboundAddressError) for outcome in outcomes)
