"""Completions through the official client: the pipeline behind it is that of every turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from tests.support.stack import Stack, StackUser

TEN = "t0 t1 t2 t3 t4 t5 t6 t7 t8 t9 "


def ask(text: str = "hello") -> list[Any]:
    return [{"role": "user", "content": text}]


async def asked(stack: Stack) -> dict[str, Any]:
    """The body of the one request that reached the provider."""
    (request,) = await stack.model.alog()
    body: dict[str, Any] = request["body"]
    return body


async def test_a_whole_answer(client: openai.AsyncOpenAI, user: StackUser) -> None:
    answer = await client.chat.completions.create(model="fake", messages=ask())
    (choice,) = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content == TEN
    assert choice.finish_reason == "stop"
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == "fake"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 10
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 10
    assert user.get("/api/conversations")["items"] == []


def test_the_client_that_blocks(user: StackUser, sync_client: Callable[[StackUser], openai.OpenAI]) -> None:
    client = sync_client(user)
    assert client.chat.completions.create(model="fake", messages=ask()).choices[0].message.content == TEN
    with client.chat.completions.create(model="fake", messages=ask(), stream=True) as stream:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == TEN


async def chunks(client: openai.AsyncOpenAI, text: str = "hello", **body: Any) -> list[ChatCompletionChunk]:
    stream = await client.chat.completions.create(
        **{"model": "fake", "messages": ask(text), "stream": True, **body}
    )
    return [chunk async for chunk in stream]


async def test_a_stream(client: openai.AsyncOpenAI) -> None:
    told = await chunks(client)
    assert len({chunk.id for chunk in told}) == 1
    assert {chunk.object for chunk in told} == {"chat.completion.chunk"}
    assert {chunk.model for chunk in told} == {"fake"}
    assert told[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].delta.role for chunk in told[1:]] == [None] * (len(told) - 1)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in told) == TEN
    assert [chunk.choices[0].finish_reason for chunk in told] == [None] * (len(told) - 1) + ["stop"]
    assert all(chunk.usage is None for chunk in told)


async def test_a_stream_with_its_usage(client: openai.AsyncOpenAI) -> None:
    *before, last = await chunks(client, stream_options={"include_usage": True})
    assert all(chunk.usage is None and chunk.choices for chunk in before)
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 10


async def test_the_bytes_of_a_stream(user: StackUser) -> None:
    body = {"model": "fake", "messages": ask("[[fake tokens=2]]"), "stream": True}
    async with user.http() as http:
        answer = await http.post("/v1/chat/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = [frame for frame in answer.text.split("\n\n") if frame and not frame.startswith(":")]
    assert all(frame.startswith("data: {") and '"usage"' not in frame for frame in frames[:-1])
    assert frames[-1] == "data: [DONE]"
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_tools_are_called_and_answered(client: openai.AsyncOpenAI, stack: Stack) -> None:
    tools: list[Any] = [
        {
            "type": "function",
            "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
        }
    ]
    answer = await client.chat.completions.create(
        model="fake", messages=ask("[[fake tools=2 tokens=0]]"), tools=tools, tool_choice="required"
    )
    sent = await asked(stack)
    assert sent["tools"] == tools
    assert sent["tool_choice"] == "required"
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    calls = choice.message.tool_calls
    assert calls is not None
    assert [(call.function.name, call.function.arguments) for call in calls if call.type == "function"] == [
        ("weather", '{"city":"Paris 0","days":0}'),
        ("weather", '{"city":"Paris 1","days":1}'),
    ]
    # The results go back with the message that called, in the order in which the client sent them.
    stack.model.reset()
    messages: list[Any] = [
        *ask("How is the weather?"),
        choice.message.model_dump(),
        *({"role": "tool", "tool_call_id": call.id, "content": f"sunny {call.id}"} for call in calls),
    ]
    again = await client.chat.completions.create(model="fake", messages=messages, tools=tools)
    assert again.choices[0].message.content == TEN
    sent = await asked(stack)
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "tool", "tool"]
    assert [call["id"] for call in sent["messages"][1]["tool_calls"]] == [call.id for call in calls]
    assert [message["tool_call_id"] for message in sent["messages"][2:]] == [call.id for call in calls]


async def test_tool_calls_are_streamed_in_pieces(client: openai.AsyncOpenAI) -> None:
    told = await chunks(client, "[[fake tools=1 tokens=1]]")
    pieces = [call for chunk in told for call in chunk.choices[0].delta.tool_calls or []]
    assert {piece.index for piece in pieces} == {0}
    assert pieces[0].id
    assert pieces[0].function is not None
    assert pieces[0].function.name == "weather"
    arguments = "".join(piece.function.arguments or "" for piece in pieces if piece.function)
    assert arguments == '{"city":"Paris 0","days":0}'
    assert told[-1].choices[0].finish_reason == "tool_calls"


async def test_ollama_calls_tools_too(client: openai.AsyncOpenAI, user: StackUser) -> None:
    user.connect("ollama", provider="ollama")
    told = await chunks(client, "[[fake tools=1]]", model="ollama/fake")
    pieces = [call for chunk in told for call in chunk.choices[0].delta.tool_calls or []]
    assert pieces[0].id
    assert told[-1].choices[0].finish_reason == "tool_calls"


async def test_thinking_has_a_field_of_its_own(client: openai.AsyncOpenAI) -> None:
    text = "[[fake thinking=field tokens=2]]"
    told = await chunks(client, text)
    deltas = [chunk.choices[0].delta.model_dump() for chunk in told]
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == "h0 h1 h2 "
    assert "".join(delta.get("content") or "" for delta in deltas) == "t0 t1 "
    answer = await client.chat.completions.create(model="fake", messages=ask(text))
    assert answer.choices[0].message.model_dump()["reasoning_content"] == "h0 h1 h2 "


async def test_parameters_reach_the_provider(client: openai.AsyncOpenAI, stack: Stack) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    answer = await client.chat.completions.create(
        model="fake",
        messages=ask(),
        max_completion_tokens=4,
        temperature=0.5,
        top_p=0.9,
        seed=7,
        stop="END",
        presence_penalty=0.1,
        frequency_penalty=-0.1,
        reasoning_effort="low",
        verbosity="high",
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    )
    assert answer.choices[0].finish_reason == "length"
    sent = await asked(stack)
    expected = {
        "max_tokens": 4,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["END"],
        "presence_penalty": 0.1,
        "frequency_penalty": -0.1,
        "reasoning_effort": "low",
        "verbosity": "high",
    }
    assert {name: sent[name] for name in expected} == expected
    assert sent["response_format"]["json_schema"]["schema"] == schema


async def test_messages_go_as_they_were_sent(client: openai.AsyncOpenAI, stack: Stack) -> None:
    messages: list[Any] = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
        {"role": "assistant", "content": "three"},
        {"role": "system", "content": "Now be long."},
        {"role": "user", "content": "four"},
    ]
    await client.chat.completions.create(model="fake", messages=messages)
    assert (await asked(stack))["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "one\ntwo"},
        {"role": "assistant", "content": "three"},
        {"role": "system", "content": "Now be long."},
        {"role": "user", "content": "four"},
    ]


async def test_a_persona_speaks_first_and_its_limits_are_not_the_clients(
    client: openai.AsyncOpenAI, stack: Stack, user: StackUser
) -> None:
    user.persona("Ava", "You are Ava.", history={"max_messages": 1}, first_message="Hello.")
    messages: list[Any] = [
        {"role": "system", "content": "Be brief."},
        *({"role": role, "content": f"{role} {n}"} for n in range(5) for role in ("user", "assistant")),
        *ask("last"),
    ]
    await client.chat.completions.create(model="persona:Ava", messages=messages)
    sent = (await asked(stack))["messages"]
    assert sent[0] == {"role": "system", "content": "You are Ava.\n\nBe brief."}
    assert sent[1:] == messages[1:]


async def test_what_does_not_fit_is_left_out_but_no_system_message(
    client: openai.AsyncOpenAI, stack: Stack, user: StackUser
) -> None:
    user.connect("small", context_length=400)
    messages: list[Any] = [
        {"role": "system", "content": "Never forget this."},
        *ask("old " * 200),
        {"role": "system", "content": "Nor this."},
        {"role": "assistant", "content": "newer"},
        *ask("last"),
    ]
    await client.chat.completions.create(model="small/fake", messages=messages)
    assert [message["content"] for message in (await asked(stack))["messages"]] == [
        "Never forget this.",
        "Nor this.",
        "newer",
        "last",
    ]


async def test_store_keeps_a_conversation(client: openai.AsyncOpenAI, stack: Stack, user: StackUser) -> None:
    messages: list[Any] = [
        {"role": "system", "content": "Be brief."},
        *ask("What is it?"),
        {
            "role": "assistant",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
    ]
    raw = await client.chat.completions.with_raw_response.create(model="fake", messages=messages, store=True)
    conversation_id = raw.headers["x-conversation-id"]
    sent = (await asked(stack))["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool"]
    (conversation,) = user.get("/api/conversations")["items"]
    assert conversation["id"] == conversation_id
    assert conversation["title"] == "What is it?"
    kept = user.get(f"/api/conversations/{conversation_id}/messages")["items"]
    by_time = sorted(kept, key=lambda message: message["created_at"])
    assert [message["role"] for message in by_time] == ["system", "user", "assistant", "tool", "assistant"]
    assert by_time[-1]["content"] == TEN
    assert conversation["active_message_id"] == by_time[-1]["id"]
    # It goes on as any other.
    stack.model.reset()
    user.post("/api/chat/send", json={"message": "And now?", "conversation_id": conversation_id})
    sent = (await asked(stack))["messages"]
    assert [message["role"] for message in sent] == [
        *("system", "user", "assistant", "tool", "assistant"),
        "user",
    ]


async def test_the_same_key_gives_the_same_answer(client: openai.AsyncOpenAI, stack: Stack) -> None:
    headers = {"Idempotency-Key": "once"}
    first = await client.chat.completions.create(model="fake", messages=ask(), extra_headers=headers)
    second = await client.chat.completions.create(model="fake", messages=ask(), extra_headers=headers)
    assert second == first
    assert stack.model.counters()["requests"] == 1
    with pytest.raises(openai.BadRequestError, match="another body"):
        await client.chat.completions.create(model="fake", messages=ask("other"), extra_headers=headers)


async def test_a_stream_is_told_again_under_the_same_key(client: openai.AsyncOpenAI, stack: Stack) -> None:
    headers = {"Idempotency-Key": "once"}
    first = await chunks(client, extra_headers=headers)
    second = await chunks(client, extra_headers=headers)
    for told in (first, second):
        assert "".join(chunk.choices[0].delta.content or "" for chunk in told) == TEN
    assert first[0].id == second[0].id
    assert stack.model.counters()["requests"] == 1


async def test_unknown_fields_are_ignored_with_a_warning(client: openai.AsyncOpenAI) -> None:
    raw = await client.chat.completions.with_raw_response.create(
        model="fake",
        messages=[{"role": "user", "content": "hi", "name": "bob"}],
        user="somebody",
        extra_body={"min_p": 0.1, "odd, name": 1},
    )
    assert raw.headers["warning"] == '299 parley "ignored: min_p, messages.0.name"'
    plain = await client.chat.completions.with_raw_response.create(model="fake", messages=ask())
    assert "warning" not in plain.headers
