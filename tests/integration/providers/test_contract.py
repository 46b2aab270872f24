"""What every provider promises, kept by the real ones and by the scripted one alike."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from shared import errors
from tests.fakes.process import ModelServer
from tests.integration.providers.conftest import Reach, settings_for, text_of
from workers.providers import (
    ChatRequest,
    ProviderFactory,
    ProviderHttpClient,
    ProviderType,
    StreamingChunk,
    ToolCallMerger,
)
from workers.providers.testing import Reply, ScriptedProvider

ARGUMENTS = '{"city":"Paris 0","days":0}'
CALL = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}}


def scripted(request: ChatRequest) -> Reply:
    """What the fake server answers, in memory."""
    replies: dict[str, Callable[[], Reply]] = {
        "fake": lambda: "t0 t1 t2 ",
        "fake/tokens=3": lambda: "t0 t1 t2 ",
        "fake/tokens=3,thinking=field": lambda: [StreamingChunk(thinking="h0 h1 h2 "), "t0 t1 t2 "],
        "fake/tokens=3,tools=1": lambda: ["t0 t1 t2 ", StreamingChunk(tool_calls=[{"index": 0, **CALL}])],
        "fault-error@3": lambda: ["t0 t1 t2 ", errors.ProviderError("the model crashed")],
        "fault-hang@3": lambda: ["t0 t1 t2 ", asyncio.Event()],
        "missing": lambda: errors.ModelNotFoundError("the provider has no model 'missing'"),
    }
    return replies[request.model]()


@dataclass(frozen=True)
class Contract:
    """A provider under the contract, and how many of its streams are open."""

    reach: Reach
    unsupported: dict[str, Any]
    closed: Callable[[], Any]


@pytest.fixture(params=["ollama", "openai", "scripted-ollama", "scripted-openai"])
def contract(request: pytest.FixtureRequest, server: ModelServer, client: ProviderHttpClient) -> Contract:
    kind = ProviderType(request.param.removeprefix("scripted-"))
    unsupported: dict[str, Any] = {"verbosity": "low"} if kind is ProviderType.OLLAMA else {"num_ctx": 999}
    settings = settings_for(kind, server)
    if request.param.startswith("scripted"):
        twin = ScriptedProvider(scripted, provider_type=kind, models=["fake:latest", "fake-large:latest"])

        async def twin_closed() -> None:
            assert twin.open_streams == 0

        return Contract(Reach(twin, settings, server), unsupported, twin_closed)
    provider = ProviderFactory.create_provider(kind, client)
    return Contract(Reach(provider, settings, server), unsupported, lambda: server.await_("aborted"))


async def test_the_last_chunk_alone_is_done_and_tells(contract: Contract) -> None:
    reach = contract.reach
    chunks = await reach.chunks(reach.request("fake/tokens=3"))
    assert [chunk.content for chunk in chunks] == ["t0 ", "t1 ", "t2 ", ""]
    assert [chunk.done for chunk in chunks] == [False, False, False, True]
    last = chunks[-1]
    assert last.finish_reason == "stop"
    assert last.usage is not None
    assert (last.usage.input_tokens, last.usage.output_tokens) == (2, 3)
    assert last.metadata is not None
    assert last.metadata["provider"] == reach.provider.provider_type
    assert last.metadata["model"] == "fake/tokens=3"


@pytest.mark.parametrize("model", ["fake/tokens=3", "fake/tokens=3,thinking=field", "fake/tokens=3,tools=1"])
async def test_streamed_or_whole_it_is_the_same_answer(contract: Contract, model: str) -> None:
    reach = contract.reach
    chunks = await reach.chunks(reach.request(model))
    whole = await reach.provider.send_message(reach.request(model))
    assert whole.content == text_of(chunks) == "t0 t1 t2 "
    assert whole.thinking == "".join(chunk.thinking for chunk in chunks)
    merger = ToolCallMerger()
    for chunk in chunks:
        merger.add(chunk.tool_calls or ())
    assert [call["function"] for call in merger.result()] == [call["function"] for call in whole.tool_calls]
    assert whole.finish_reason == chunks[-1].finish_reason


async def test_what_came_before_an_error_was_given_out(contract: Contract) -> None:
    chunks, error = await contract.reach.until_error(contract.reach.request("fault-error@3"))
    assert text_of(chunks) == "t0 t1 t2 "
    assert isinstance(error, errors.ProviderError)
    assert "the model crashed" in error.detail


async def test_a_missing_model_is_told(contract: Contract) -> None:
    with pytest.raises(errors.ModelNotFoundError, match="missing"):
        await contract.reach.chunks(contract.reach.request("missing"))
    with pytest.raises(errors.ModelNotFoundError, match="missing"):
        await contract.reach.provider.send_message(contract.reach.request("missing"))


async def test_an_unsupported_control_is_refused(contract: Contract) -> None:
    with pytest.raises(errors.UnsupportedControlError, match=next(iter(contract.unsupported))):
        await contract.reach.chunks(contract.reach.request("fake", **contract.unsupported))
    with pytest.raises(errors.UnsupportedControlError):
        contract.reach.provider.build_request(contract.reach.request("fake", **contract.unsupported))


async def test_cancelling_ends_the_stream(contract: Contract) -> None:
    reach = contract.reach
    seen = asyncio.Event()

    async def call() -> None:
        async for chunk in reach.provider.send_message_stream(reach.request("fault-hang@3")):
            if chunk.content == "t2 ":
                seen.set()

    task = asyncio.create_task(call())
    await seen.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await contract.closed()


async def test_closing_the_generator_ends_the_stream(contract: Contract) -> None:
    stream = contract.reach.provider.send_message_stream(contract.reach.request("fault-hang@3"))
    async with contextlib.aclosing(stream):
        async for _ in stream:
            break
    await contract.closed()


async def test_settings_are_checked(contract: Contract) -> None:
    provider = contract.reach.provider
    assert provider.validate_settings(contract.reach.settings)
    assert provider.validate_settings(contract.reach.settings.model_dump())
    with pytest.raises(errors.ValidationError):
        provider.validate_settings({"nonsense": 1})


async def test_models_are_listed(contract: Contract) -> None:
    reach = contract.reach
    timeouts = reach.request().timeouts
    names = [model.name for model in await reach.provider.list_models(reach.settings, timeouts)]
    assert names == ["fake:latest", "fake-large:latest"]
    assert (await reach.provider.test_connection(reach.settings, timeouts)).models == names


async def test_a_script_that_has_ended_says_so() -> None:
    provider = ScriptedProvider(["one"])
    reach = Reach(provider, settings_for("openai", ModelServer(port=1, pid=1)), ModelServer(port=1, pid=1))
    assert (await provider.send_message(reach.request())).content == "one"
    with pytest.raises(errors.ProviderError, match="no further reply"):
        await provider.send_message(reach.request())
    assert [request.model for request in provider.requests] == ["fake", "fake"]
