"""Answers over a real socket: every token once, thinking, tools and usage, whatever the wire looks like."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.providers.conftest import KEY, Reach, settings_for, text_of
from workers.providers import ToolCallMerger, Usage

TEN = "".join(f"t{index} " for index in range(10))


@pytest.mark.parametrize(
    "knobs",
    [
        "tps=500",
        "tps=0",
        "split=1",
        "split=7",
        "split=3,crlf=1",
        "comments=1",
        "framing=close",
        "headers=late,first=0.05",
        "usage=final",
        "usage=last",
    ],
)
async def test_every_token_comes_once(reach: Reach, knobs: str) -> None:
    chunks = await reach.chunks(reach.request(f"fake/{knobs}"))
    assert text_of(chunks) == TEN
    assert [chunk.done for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    last = chunks[-1]
    assert (last.finish_reason, last.content) == ("stop", "")
    assert last.usage is not None
    assert (last.usage.input_tokens, last.usage.output_tokens) == (2, 10)
    assert last.metadata is not None
    assert last.metadata["provider"] == reach.provider.provider_type
    assert last.metadata["model"] == f"fake/{knobs}"


async def test_characters_survive_any_cut(reach: Reach) -> None:
    chunks = await reach.chunks(reach.request("fake/unicode=1,split=1"))
    assert text_of(chunks) == "".join(f"té{index}😀 " for index in range(10))


async def test_without_usage_there_is_none(reach: Reach) -> None:
    assert (await reach.chunks(reach.request("fake/usage=none")))[-1].usage is None


@pytest.mark.parametrize("thinking", ["field", "inline", "reasoning", "reasoning_content"])
async def test_thinking_is_told_from_the_answer(reach: Reach, thinking: str) -> None:
    request = reach.request(f"fake/thinking={thinking},split=5")
    chunks = await reach.chunks(request)
    assert text_of(chunks) == TEN
    assert "".join(chunk.thinking for chunk in chunks) == "h0 h1 h2 "
    whole = await reach.provider.send_message(request)
    assert (whole.content, whole.thinking) == (TEN, "h0 h1 h2 ")


async def test_tool_calls_have_one_form(reach: Reach) -> None:
    request = reach.request("fake/tokens=1,tools=2")
    chunks = await reach.chunks(request)
    merger = ToolCallMerger()
    for chunk in chunks:
        merger.add(chunk.tool_calls or ())
    whole = await reach.provider.send_message(request)
    for calls in (merger.result(), list(whole.tool_calls)):
        assert [(call["type"], call["function"]["name"]) for call in calls] == [("function", "weather")] * 2
        assert [call["function"]["arguments"] for call in calls] == [
            '{"city":"Paris 0","days":0}',
            '{"city":"Paris 1","days":1}',
        ]
        assert all(call["id"] for call in calls)
    assert chunks[-1].finish_reason == whole.finish_reason == "tool_calls"


async def test_a_limit_of_tokens_is_kept_and_told(reach: Reach) -> None:
    chunks = await reach.chunks(reach.request(max_tokens=4))
    assert text_of(chunks) == "t0 t1 t2 t3 "
    assert chunks[-1].finish_reason == "length"


async def test_the_whole_answer_at_once(reach: Reach) -> None:
    response = await reach.provider.send_message(reach.request())
    assert (response.content, response.finish_reason) == (TEN, "stop")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (2, 10)
    assert response.metadata["provider"] == reach.provider.provider_type
    (request,) = await reach.server.alog()
    assert request["body"]["stream"] is False


async def test_what_is_built_is_what_is_sent(reach: Reach) -> None:
    request = reach.request(temperature=0.5, seed=3, json_mode="object")
    await reach.chunks(request)
    (sent,) = await reach.server.alog()
    assert sent["body"] == reach.provider.build_request(request)
    assert KEY not in str(sent["body"])
    assert sent["headers"]["authorization"] == f"Bearer {KEY}"


async def test_headers_of_the_settings_are_sent(openai: Reach) -> None:
    settings = settings_for(
        "openai", openai.server, organization="org", project="proj", extra_headers={"X-Title": "a b"}
    )
    await openai.chunks(openai.request(settings=settings))
    headers = (await openai.server.alog())[0]["headers"]
    assert (headers["openai-organization"], headers["openai-project"], headers["x-title"]) == (
        "org",
        "proj",
        "a b",
    )


async def test_a_server_that_refuses_stream_options_is_asked_without_them(openai: Reach) -> None:
    for _ in range(2):
        chunks = await openai.chunks(openai.request("fault-no-stream-options"))
        assert text_of(chunks) == TEN
        assert chunks[-1].usage is None
    bodies: list[dict[str, Any]] = [request["body"] for request in await openai.server.alog()]
    assert ["stream_options" in body for body in bodies] == [True, False, False]


async def test_a_server_that_does_not_stream_is_understood(openai: Reach) -> None:
    chunks = await openai.chunks(openai.request("fake/fault=plain,thinking=inline,tools=1"))
    assert text_of(chunks) == TEN
    assert chunks[0].thinking == "h0 h1 h2 "
    assert chunks[-1].usage == Usage(2, 13, 3)
    assert chunks[-1].finish_reason == "tool_calls"


async def test_an_answer_without_the_last_mark_is_complete(openai: Reach) -> None:
    assert text_of(await openai.chunks(openai.request("fault-no-done"))) == TEN


async def test_an_answer_is_complete_although_the_server_holds_on(openai: Reach) -> None:
    chunks = await openai.chunks(openai.request("fault-hang-end", between_tokens=0.2))
    assert text_of(chunks) == TEN
    assert chunks[-1].finish_reason == "stop"
