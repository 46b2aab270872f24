"""The fake model server, a client of this process, and a provider of each kind to reach it with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from shared.schemas.provider_settings import OllamaSettings, OpenAISettings, ProviderSettings
from shared.settings import Settings
from tests.fakes.process import ModelServer, start_model_server
from workers.providers import (
    BaseProviderService,
    CallTimeouts,
    ChatControls,
    ChatMessage,
    ChatRequest,
    ProviderFactory,
    ProviderHttpClient,
    ProviderType,
    StreamingChunk,
)

KEY = "sk-the-secret-key-1234"


@dataclass(frozen=True)
class Reach:
    """A provider, and how to ask it."""

    provider: BaseProviderService
    settings: ProviderSettings
    server: ModelServer

    def request(self, model: str = "fake", text: str = "Hello there", /, **changes: Any) -> ChatRequest:
        """A request for ``model``; ``changes`` are timeouts, controls by name, or ``settings``."""
        timeouts = {
            name: changes.pop(name, 10.0) for name in ("connect", "first_token", "between_tokens", "total")
        }
        return ChatRequest(
            messages=[ChatMessage(role="user", content=text)],
            model=model,
            settings=changes.pop("settings", self.settings),
            timeouts=CallTimeouts(**timeouts),
            controls=ChatControls.model_validate(changes),
        )

    async def chunks(self, request: ChatRequest) -> list[StreamingChunk]:
        """The whole stream."""
        return [chunk async for chunk in self.provider.send_message_stream(request)]

    async def until_error(self, request: ChatRequest) -> tuple[list[StreamingChunk], Exception]:
        """What came before the error, and the error."""
        chunks: list[StreamingChunk] = []
        try:
            async for chunk in self.provider.send_message_stream(request):
                chunks.append(chunk)
        except Exception as error:
            return chunks, error
        raise AssertionError(f"the stream ended well: {chunks[-1]}")


def text_of(chunks: list[StreamingChunk]) -> str:
    """The content of the chunks."""
    return "".join(chunk.content for chunk in chunks)


def settings_for(kind: str, server: ModelServer, **changes: Any) -> ProviderSettings:
    """Settings that reach ``server``."""
    if kind == "ollama":
        return OllamaSettings.model_validate({"host": server.ollama_url, "api_key": KEY, **changes})
    return OpenAISettings.model_validate({"base_url": server.openai_url, "api_key": KEY, **changes})


@pytest.fixture(scope="session")
def running_server() -> Iterator[ModelServer]:
    with start_model_server() as server:
        yield server


@pytest.fixture
def server(running_server: ModelServer) -> ModelServer:
    running_server.reset()
    return running_server


@pytest.fixture
async def client() -> AsyncIterator[ProviderHttpClient]:
    client = ProviderHttpClient(Settings(provider_retries=2), first_backoff=0.01, max_retry_after=0.2)
    yield client
    await client.aclose()


@pytest.fixture(params=list(ProviderType))
def reach(request: pytest.FixtureRequest, server: ModelServer, client: ProviderHttpClient) -> Reach:
    """Both kinds of provider, one after the other."""
    provider = ProviderFactory.create_provider(request.param, client)
    return Reach(provider, settings_for(request.param, server), server)


@pytest.fixture
def openai(server: ModelServer, client: ProviderHttpClient) -> Reach:
    provider = ProviderFactory.create_provider(ProviderType.OPENAI, client)
    return Reach(provider, settings_for("openai", server), server)


@pytest.fixture
def ollama(server: ModelServer, client: ProviderHttpClient) -> Reach:
    provider = ProviderFactory.create_provider(ProviderType.OLLAMA, client)
    return Reach(provider, settings_for("ollama", server), server)
