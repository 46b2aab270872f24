"""A provider that means harm breaks its own answer, with a clear error, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from shared.errors import ProviderError, ProviderResponseError
from shared.jobs.statements import as_json
from shared.schemas.provider_settings import OllamaSettings, OpenAISettings
from tests.integration.providers.sockets import Handler, serving
from tests.unit.providers.requests import chat_request
from workers.chat.accumulator import StreamingAccumulator
from workers.providers import ProviderFactory, ProviderHttpClient, ProviderType
from workers.providers.base.details import MAX_NAME
from workers.providers.base.http_service import MAX_ANSWER
from workers.providers.base.models import ChatResponse
from workers.providers.base.stream_processor import MAX_LINE

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nConnection: close\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def chunk(finish_reason: str | None = None, /, *, top: dict[str, Any] | None = None, **delta: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return b"data: %b\n\n" % orjson.dumps({"choices": [choice], **(top or {})})


def says(*pieces: bytes, endless: bool = False, kind: bytes = b"text/event-stream") -> Handler:
    """A provider that sends ``pieces``; with ``endless`` the last one again and again."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_HEAD % kind)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        while endless:
            writer.write(pieces[-1])
            await writer.drain()

    return handle


async def answer_of(client: ProviderHttpClient, handler: Handler, kind: str = "openai") -> ChatResponse:
    """The answer as a turn collects it."""
    async with serving(handler) as port:
        if kind == "openai":
            settings: Any = OpenAISettings(base_url=f"http://127.0.0.1:{port}/v1")
        else:
            settings = OllamaSettings(host=f"http://127.0.0.1:{port}")
        provider = ProviderFactory.create_provider(ProviderType(kind), client)
        accumulator = StreamingAccumulator()
        async for piece in provider.send_message_stream(chat_request(settings)):
            accumulator.take(piece)
        return accumulator.response()


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize(
    "event",
    [
        b'{"system_fingerprint":%b,"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"n","arguments":%b}}]}}]}',
        b'{"choices":[{"delta":{"content":%b}}]}',
        b'{"error":{"message":%b}}',
    ],
    ids=["detail", "arguments", "content", "error"],
)
@pytest.mark.parametrize("levels", [250, 900])
async def test_json_that_could_not_be_written_again_is_refused(
    client: ProviderHttpClient, event: bytes, levels: int
) -> None:
    with pytest.raises(ProviderResponseError, match="nested"):
        await answer_of(client, says(b"data: " + event % nested(levels) + b"\n\n", DONE))


async def test_ollamas_json_has_the_same_limit(client: ProviderHttpClient) -> None:
    line = b'{"message":{"content":"x"},"total_duration":%b,"done":true}\n' % nested(900)
    with pytest.raises(ProviderResponseError, match="nested"):
        await answer_of(client, says(line, kind=b"application/x-ndjson"), "ollama")


async def test_an_error_that_is_nested_too_deep_is_told_without_its_words(client: ProviderHttpClient) -> None:
    body = b'{"error":{"message":%b}}' % nested(900)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    with pytest.raises(ProviderError, match=r"refused the request \(400\)$"):
        await answer_of(client, refuse)


async def test_an_answer_without_an_end_is_cut_off(client: ProviderHttpClient) -> None:
    with pytest.raises(ProviderResponseError, match="longer than"):
        await answer_of(client, says(chunk(content="E" * 100_000), endless=True))


async def test_tool_calls_without_an_end_are_cut_off(client: ProviderHttpClient) -> None:
    call = {"index": 0, "id": "a", "function": {"name": "n", "arguments": "E" * 100_000}}
    with pytest.raises(ProviderResponseError, match="longer than"):
        await answer_of(client, says(chunk(tool_calls=[call]), endless=True))


async def test_a_long_answer_below_the_limit_is_whole(client: ProviderHttpClient) -> None:
    text = "B" * (MAX_ANSWER - 1)
    half = len(text) // 2
    answer = await answer_of(
        client, says(chunk(content=text[:half]), chunk(content=text[half:]), chunk("stop"), DONE)
    )
    assert answer.content == text


async def test_an_event_of_many_lines_counts_as_one(client: ProviderHttpClient) -> None:
    line = b"data: " + b"a" * (MAX_LINE // 16) + b"\n"
    with pytest.raises(ProviderResponseError, match="event of more than"):
        await answer_of(client, says(line, endless=True))


async def test_white_space_is_not_held_back_for_ever(client: ProviderHttpClient) -> None:
    answer = await answer_of(client, says(*[chunk(content=" " * 900)] * 3, chunk("stop"), DONE))
    assert answer.content == " " * 2700


@pytest.mark.parametrize("index", [-1, 1024, 10**9, 2**63])
async def test_the_index_of_a_tool_call_is_no_size_of_a_list(client: ProviderHttpClient, index: int) -> None:
    call = {"index": index, "id": "a", "function": {"name": "n", "arguments": "{}"}}
    with pytest.raises(ProviderResponseError, match="index of a tool call"):
        await answer_of(client, says(chunk(tool_calls=[call]), DONE))


async def test_names_of_other_types_are_taken_as_text(client: ProviderHttpClient) -> None:
    call = {"id": ["a"], "function": {"name": {"n": 1}, "arguments": {"city": "Paris"}}}
    answer = await answer_of(client, says(chunk("tool_calls", tool_calls=[call]), DONE))
    assert answer.tool_calls == [
        {"id": "['a']", "type": "function", "function": {"name": "{'n': 1}", "arguments": '{"city":"Paris"}'}}
    ]


async def test_a_tool_call_is_told_as_it_is_stored(client: ProviderHttpClient) -> None:
    call = {"index": 0, "id": "i\0", "function": {"name": "n\0", "arguments": '{"a\0":1}'}}
    answer = await answer_of(client, says(chunk("tool_calls", tool_calls=[call]), DONE))
    assert orjson.loads(as_json(list(answer.tool_calls)) or "") == answer.tool_calls
    assert "\0" not in str(answer.tool_calls)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 2**31, "completion_tokens": 2**63},
        {"prompt_tokens": "12", "completion_tokens": -3},
        {"prompt_tokens": 1.5, "completion_tokens": [1]},
    ],
)
async def test_counts_that_are_none_are_not_stored(client: ProviderHttpClient, usage: dict[str, Any]) -> None:
    answer = await answer_of(client, says(chunk("stop", top={"usage": usage}, content="x"), DONE))
    assert answer.content == "x"
    assert answer.usage is None


async def test_what_is_told_of_a_call_is_kept_small(client: ProviderHttpClient) -> None:
    top = {
        "model": "M" * 100_000,
        "system_fingerprint": "F" * 100_000,
        "id": "kept",
        "timings": ["T"] * 10_000,
    }
    answer = await answer_of(client, says(chunk("R" * 100_000, top=top, content="x"), DONE))
    assert answer.finish_reason == "R" * MAX_NAME
    assert answer.metadata["model"] == "M" * MAX_NAME
    assert answer.metadata["id"] == "kept"
    assert len(orjson.dumps(answer.metadata)) < 1000
