"""Stage 3: every piece of the answer is told as it comes, and what is told is what is kept."""

from __future__ import annotations

import asyncio

import pytest

from shared.errors import ProviderResponseError
from shared.schemas.events import EventType
from workers.chat.accumulator import StreamingAccumulator, StreamingToNonStreamingConverter
from workers.chat.history import Window
from workers.chat.testing import RecordedEvents
from workers.chat.turn import TurnContext, build_messages, stream_answer
from workers.providers import CallTimeouts, ChatMessage, ChatRequest, OpenAISettings, StreamingChunk, Usage
from workers.providers.testing import ScriptedProvider

TIMEOUTS = CallTimeouts(connect=1, first_token=1, between_tokens=1, total=5)


def request(*messages: ChatMessage) -> ChatRequest:
    return ChatRequest(
        messages=messages or (ChatMessage(role="user", content="hello"),),
        model="scripted",
        settings=OpenAISettings(),
        timeouts=TIMEOUTS,
    )


def context(
    prompt: str | None, *history: str, window: Window | None = None, length: int = 8192
) -> TurnContext:
    return TurnContext(
        system_prompt=prompt,
        history=[
            ChatMessage(role="assistant" if number % 2 else "user", content=text)
            for number, text in enumerate(history)
        ],
        newest=[ChatMessage(role="user", content="now")],
        window=window or Window(),
        context_length=length,
    )


async def test_the_stage_begins_the_chunks_follow_the_stage_ends() -> None:
    events, accumulator = RecordedEvents(), StreamingAccumulator()
    await stream_answer(ScriptedProvider(["one two three"]), request(), events, accumulator)
    kinds = [event for event, _ in events.told]
    assert kinds[0] is kinds[-1] is EventType.STAGE_UPDATE
    assert set(kinds[1:-1]) == {EventType.CHUNK}
    assert [data["state"] for event, data in events.told if event is EventType.STAGE_UPDATE] == [
        "started",
        "finished",
    ]
    assert events.text == accumulator.response().content == "one two three"


async def test_what_came_before_an_error_is_kept() -> None:
    provider = ScriptedProvider([["one ", "two ", ProviderResponseError("torn")]])
    events, accumulator = RecordedEvents(), StreamingAccumulator()
    with pytest.raises(ProviderResponseError):
        await stream_answer(provider, request(), events, accumulator)
    assert events.text == accumulator.response().content == "one two "
    assert events.told[-1][0] is EventType.CHUNK
    assert provider.open_streams == 0


async def test_nul_is_told_nowhere_because_it_can_be_kept_nowhere() -> None:
    provider = ScriptedProvider([[StreamingChunk(content="a\x00b", thinking="\x00")]])
    events, accumulator = RecordedEvents(), StreamingAccumulator()
    await stream_answer(provider, request(), events, accumulator)
    assert events.text == accumulator.response().content == "ab"
    assert accumulator.response().thinking == ""


async def test_a_full_sink_stops_the_reading() -> None:
    gate = asyncio.Event()
    provider = ScriptedProvider([["one ", "two ", gate, "three"]])
    events, accumulator = RecordedEvents(), StreamingAccumulator()
    events.full = True
    turn = asyncio.create_task(stream_answer(provider, request(), events, accumulator))
    await events.waiting.wait()
    assert events.text == "one "
    events.drain()
    gate.set()
    await turn
    assert events.text == "one two three"


async def test_cancelling_closes_the_providers_stream() -> None:
    provider = ScriptedProvider([["one ", asyncio.Event()]])
    events, accumulator = RecordedEvents(), StreamingAccumulator()
    turn = asyncio.create_task(stream_answer(provider, request(), events, accumulator))
    while not events.text:
        await asyncio.sleep(0)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    assert provider.open_streams == 0
    assert accumulator.response().content == "one "


async def test_the_accumulator_joins_text_thinking_tools_and_usage() -> None:
    chunks = [
        StreamingChunk(thinking="hm "),
        StreamingChunk(
            tool_calls=[
                {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{"}}
            ]
        ),
        StreamingChunk(content="a"),
        StreamingChunk(tool_calls=[{"index": 0, "function": {"arguments": "}"}}]),
        StreamingChunk(content="b"),
        StreamingChunk(done=True, finish_reason="tool_calls", usage=Usage(3, 4), metadata={"model": "m"}),
    ]

    async def stream():  # type: ignore[no-untyped-def]
        for chunk in chunks:
            yield chunk

    response = await StreamingToNonStreamingConverter.convert(stream())
    assert (response.content, response.thinking, response.finish_reason) == ("ab", "hm ", "tool_calls")
    assert response.usage == Usage(3, 4)
    assert response.tool_calls[0]["function"] == {"name": "f", "arguments": "{}"}
    assert response.metadata["model"] == "m"
    assert response.metadata["time_to_first_token"] is not None


def test_the_prompt_comes_first_then_the_history_then_what_is_answered() -> None:
    sent = build_messages(context("You are Ava.", "q1", "a1"), None)
    assert [(m.role, m.content) for m in sent] == [
        ("system", "You are Ava."),
        ("user", "q1"),
        ("assistant", "a1"),
        ("user", "now"),
    ]


@pytest.mark.parametrize("prompt", [None, "", "  \n"])
def test_without_a_prompt_there_is_no_system_message(prompt: str | None) -> None:
    assert [m.role for m in build_messages(context(prompt), None)] == ["user"]


def test_what_is_answered_goes_along_even_when_nothing_else_fits() -> None:
    sent = build_messages(context("P" * 3000, "old", length=256), 256)
    assert [m.role for m in sent] == ["system", "user"]


def test_a_window_of_no_messages_sends_prompt_and_message_only() -> None:
    sent = build_messages(context("P", "q1", "a1", window=Window(max_messages=0)), None)
    assert [m.content for m in sent] == ["P", "now"]
