"""Each way to fail is a typed error with a clear message; what came before it was given out."""

from __future__ import annotations

import socket

import pytest

from shared import errors
from shared.schemas.provider_settings import OpenAISettings
from shared.settings import Settings
from tests.fakes.process import ModelServer
from tests.integration.providers.conftest import KEY, Reach, settings_for, text_of
from tests.integration.providers.sockets import saying, serving
from workers.providers import ProviderFactory, ProviderHttpClient

BEFORE = "t0 t1 t2 "


def assert_discreet(reach: Reach, error: Exception) -> None:
    """Neither the key nor the address is in the message."""
    assert isinstance(error, errors.ParleyError)
    for secret in (KEY, "127.0.0.1", str(reach.server.port), "Bearer"):
        assert secret not in error.detail


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ("truncate", errors.ProviderResponseError, "cut off"),
        ("end", errors.ProviderResponseError, "cut off"),
        ("reset", errors.ProviderError, "cut off|broke"),
        ("error", errors.ProviderError, "the model crashed"),
        ("garbage", errors.ProviderResponseError, "not JSON"),
        ("shape", errors.ProviderResponseError, "another shape"),
    ],
)
@pytest.mark.parametrize("more", ["", ",framing=close", ",split=3"])
async def test_in_mid_stream(
    reach: Reach, fault: str, kind: type[Exception], message: str, more: str
) -> None:
    chunks, error = await reach.until_error(reach.request(f"fake/tps=200,fault={fault}@3{more}"))
    assert text_of(chunks) == BEFORE
    assert isinstance(error, kind)
    with pytest.raises(kind, match=message):
        raise error
    assert_discreet(reach, error)


async def test_an_error_event(openai: Reach) -> None:
    chunks, error = await openai.until_error(openai.request("fault-event-error@3"))
    assert text_of(chunks) == BEFORE
    assert isinstance(error, errors.ProviderUnavailableError)
    assert "the model crashed" in error.detail


async def test_text_that_was_held_back_is_given_out_before_the_error(openai: Reach) -> None:
    request = openai.request("fake", "[[fake text=%3Cthi%20never fault=truncate@1]]")
    chunks, error = await openai.until_error(request)
    assert isinstance(error, errors.ProviderResponseError)
    assert text_of(chunks) == "<thi "


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ("400", errors.ProviderRequestError, "scripted failure 400"),
        ("401", errors.ProviderAuthenticationError, "refused the key"),
        ("403", errors.ProviderAuthenticationError, "refused the key"),
        ("404", errors.ModelNotFoundError, "no model 'fault-404'"),
        ("422", errors.ProviderRequestError, "refused the request"),
        ("429", errors.ProviderRateLimitedError, "limits the rate"),
        ("500", errors.ProviderUnavailableError, "failed \\(500\\)"),
        ("503", errors.ProviderUnavailableError, "failed \\(503\\)"),
        ("redirect", errors.ProviderRequestError, "redirects"),
        ("html", errors.ProviderResponseError, "web page|not JSON"),
        ("empty", errors.ProviderResponseError, "empty"),
        ("gzip", errors.ProviderResponseError, "compressed"),
        ("close", errors.ProviderConnectionError, "closed the connection"),
        ("plain-error", errors.ProviderError, "the model crashed"),
    ],
)
async def test_instead_of_an_answer(reach: Reach, fault: str, kind: type[Exception], message: str) -> None:
    request = reach.request(f"fault-{fault}")
    chunks, error = await reach.until_error(request)
    assert chunks == []
    with pytest.raises(kind, match=message):
        raise error
    assert_discreet(reach, error)
    with pytest.raises(kind, match=message) as caught:
        await reach.provider.send_message(request)
    assert_discreet(reach, caught.value)


async def test_an_end_mark_alone_is_an_empty_answer(openai: Reach) -> None:
    chunks, error = await openai.until_error(openai.request("fault-done-only"))
    assert chunks == []
    assert isinstance(error, errors.ProviderResponseError)


async def test_a_redirect_is_not_followed(reach: Reach) -> None:
    await reach.until_error(reach.request("fault-redirect"))
    assert [request["path"] for request in await reach.server.alog()] != ["/elsewhere"]
    assert len(await reach.server.alog()) == 1


async def test_nobody_listens(client: ProviderHttpClient, openai: Reach) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    settings = OpenAISettings.model_validate({"base_url": f"http://127.0.0.1:{port}/v1"})
    chunks, error = await openai.until_error(openai.request(settings=settings))
    assert chunks == []
    assert isinstance(error, errors.ProviderConnectionError)
    assert "cannot be reached" in error.detail
    assert str(port) not in error.detail


async def test_a_name_that_nobody_knows(openai: Reach) -> None:
    settings = OpenAISettings.model_validate({"base_url": "http://no-such-host.invalid/v1"})
    _, error = await openai.until_error(openai.request(settings=settings))
    assert isinstance(error, errors.ProviderConnectionError)
    assert "host name is not known" in error.detail
    assert "no-such-host" not in error.detail


async def test_a_server_that_speaks_no_tls(openai: Reach) -> None:
    async with serving(saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        settings = OpenAISettings.model_validate({"base_url": f"https://127.0.0.1:{port}/v1"})
        _, error = await openai.until_error(openai.request(settings=settings))
    assert isinstance(error, errors.ProviderConnectionError)
    assert "TLS" in error.detail


async def test_a_server_that_speaks_no_http(openai: Reach) -> None:
    async with serving(saying(b"220 mail.example ESMTP\r\n")) as port:
        settings = OpenAISettings.model_validate({"base_url": f"http://127.0.0.1:{port}/v1"})
        _, error = await openai.until_error(openai.request(settings=settings))
    assert isinstance(error, errors.ProviderConnectionError)
    assert "mail.example" not in error.detail


async def test_the_local_model_is_looked_up(server: ModelServer) -> None:
    client = ProviderHttpClient(Settings(local_model_url=server.openai_url))
    provider = ProviderFactory.create_provider("openai", client)
    settings = OpenAISettings.model_validate({"base_url": "parley:local"})
    reach = Reach(provider, settings, server)
    assert text_of(await reach.chunks(reach.request("fake/tokens=2"))) == "t0 t1 "
    await client.aclose()


async def test_without_a_local_model_the_call_is_refused(openai: Reach) -> None:
    settings = OpenAISettings.model_validate({"base_url": "parley:local"})
    with pytest.raises(errors.OutboundAddressError, match="no local model"):
        await openai.chunks(openai.request(settings=settings))


async def test_an_unsupported_control_is_refused_before_anything_is_sent(reach: Reach) -> None:
    control = {"verbosity": "low"} if reach.provider.provider_type == "ollama" else {"num_ctx": 4096}
    with pytest.raises(errors.UnsupportedControlError):
        await reach.chunks(reach.request(**control))
    with pytest.raises(errors.UnsupportedControlError):
        await reach.provider.send_message(reach.request(**control))
    assert await reach.server.alog() == []


async def test_a_wrong_path_points_at_the_address(openai: Reach) -> None:
    settings = settings_for(
        "openai", openai.server, base_url=openai.server.ollama_url + "/v1/chat/completions/nowhere/x"
    )
    _, error = await openai.until_error(openai.request(settings=settings))
    assert isinstance(error, errors.ProviderRequestError)
    assert "check the address" in error.detail
