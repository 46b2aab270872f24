"""What a provider tells of its models, and the fetching of one."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from shared import errors
from tests.fakes.process import start_model_server
from tests.integration.providers.conftest import KEY, Reach, settings_for
from workers.providers import CallTimeouts, ProviderFactory, ProviderHttpClient, PullProgress

TIMEOUTS = CallTimeouts(connect=5, first_token=5, between_tokens=5, total=10)


async def test_models_are_listed(reach: Reach) -> None:
    models = await reach.provider.list_models(reach.settings, TIMEOUTS)
    assert [model.name for model in models] == ["fake:latest", "fake-large:latest"]


async def test_a_connection_is_tested(reach: Reach) -> None:
    report = await reach.provider.test_connection(reach.settings, TIMEOUTS)
    assert report.models == ["fake:latest", "fake-large:latest"]
    assert report.response_time > 0
    assert report.version == ("0.12.0" if reach.provider.provider_type == "ollama" else None)


@pytest.mark.parametrize("name", ["fake", "fake:latest"])
async def test_a_model_is_known_with_and_without_its_tag(ollama: Reach, name: str) -> None:
    await ollama.provider.test_connection(settings_for("ollama", ollama.server, model=name), TIMEOUTS)


async def test_a_model_that_ollama_lacks_is_told(ollama: Reach) -> None:
    with pytest.raises(errors.ModelNotFoundError, match="no model 'other'; pull it"):
        await ollama.provider.test_connection(settings_for("ollama", ollama.server, model="other"), TIMEOUTS)


@pytest.mark.parametrize("kind", ["ollama", "openai"])
async def test_a_wrong_key_is_told_and_not_repeated(client: ProviderHttpClient, kind: str) -> None:
    with start_model_server("--api-key", "another") as server:
        reach = Reach(ProviderFactory.create_provider(kind, client), settings_for(kind, server), server)
        calls: list[Any] = [
            reach.provider.test_connection(reach.settings, TIMEOUTS),
            reach.provider.list_models(reach.settings, TIMEOUTS),
            reach.provider.send_message(reach.request()),
            reach.chunks(reach.request()),
        ]
        for call in calls:
            with pytest.raises(errors.ProviderAuthenticationError) as caught:
                await call
            assert KEY not in caught.value.detail
        right = settings_for(kind, server, api_key="another")
        assert await reach.chunks(reach.request(settings=right))


async def test_a_model_is_described(ollama: Reach) -> None:
    shown = await ollama.provider.show_model(ollama.settings, "fake", TIMEOUTS)
    assert (shown.name, shown.context_length) == ("fake", 32768)
    assert shown.details["capabilities"] == ["completion", "tools"]
    with pytest.raises(errors.ModelNotFoundError):
        await ollama.provider.show_model(ollama.settings, "missing", TIMEOUTS)


async def test_running_models_are_listed(ollama: Reach) -> None:
    (first, _) = await ollama.provider.running_models(ollama.settings, TIMEOUTS)
    assert (first.name, first.context_length) == ("fake:latest", 4096)


async def test_a_model_is_fetched_with_progress(ollama: Reach) -> None:
    steps = [step async for step in ollama.provider.pull_model(ollama.settings, "new", TIMEOUTS)]
    assert steps[0] == PullProgress("pulling manifest")
    assert [step.completed for step in steps if step.total == 300] == [100, 200, 300]
    assert [step.done for step in steps] == [False] * 5 + [True]


async def test_a_model_that_cannot_be_fetched_is_told(ollama: Reach) -> None:
    steps = []

    async def pull() -> None:
        async for step in ollama.provider.pull_model(ollama.settings, "missing", TIMEOUTS):
            steps.append(step)

    with pytest.raises(errors.ModelNotFoundError, match="file does not exist"):
        await pull()
    assert steps == [PullProgress("pulling manifest")]


async def test_leaving_a_fetch_closes_the_socket(client: ProviderHttpClient) -> None:
    with start_model_server(tps=5) as server:
        provider = ProviderFactory.create_provider("ollama", client)
        steps = provider.pull_model(settings_for("ollama", server), "new", TIMEOUTS)
        async with contextlib.aclosing(steps):
            async for _ in steps:
                break
        await server.await_("aborted")


async def test_openai_servers_do_not_do_these(openai: Reach) -> None:
    with pytest.raises(errors.ProviderRequestError, match="cannot tell which models run"):
        await openai.provider.running_models(openai.settings, TIMEOUTS)
    with pytest.raises(errors.ProviderRequestError, match="cannot fetch a model"):
        openai.provider.pull_model(openai.settings, "m", TIMEOUTS)


async def test_a_server_without_a_list_passes_the_test(openai: Reach) -> None:
    settings = settings_for("openai", openai.server, base_url=openai.server.ollama_url + "/api/chat/x")
    assert (await openai.provider.test_connection(settings, TIMEOUTS)).models is None
