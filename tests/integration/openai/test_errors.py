"""What goes wrong is an exception of the official client, by status, code and parameter."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.support.stack import Stack, StackUser

HELLO: list[Any] = [{"role": "user", "content": "hello"}]


async def test_a_wrong_key(stack: Stack) -> None:
    async with openai.AsyncOpenAI(base_url=f"{stack.url}/v1", api_key="wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="fake", messages=HELLO)


@pytest.mark.parametrize(
    "model",
    [
        "nothing",
        "persona:Nobody",
        "nowhere/fake",
        "fake/",
        "/fake",
        "persona:",
        "persona:Ava@",
        "persona:Ava@nowhere/x",
        "x" * 600,
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_is_not_there(
    client: openai.AsyncOpenAI, user: StackUser, model: str, stream: bool
) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.chat.completions.create(model=model, messages=HELLO, stream=stream)
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve(model)


async def test_what_is_somebody_elses_is_not_there(client: openai.AsyncOpenAI, stack: Stack) -> None:
    eve = stack.user()
    eve.connect("hers")
    eve.persona("Hers")
    for model in ("hers/fake", "persona:Hers"):
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model=model, messages=HELLO)


async def test_a_model_that_the_provider_does_not_have(client: openai.AsyncOpenAI) -> None:
    for stream in (False, True):
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="fake/missing", messages=HELLO, stream=stream)
        assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}
                ]
            },
            "messages.0.content.1.type",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages.0.content.0.type"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"seed": -1}, "seed"),
        ({"stop": 5}, "stop"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools.0.type"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"reasoning_effort": "most"}, "reasoning_effort"),
        ({"model": ""}, "model"),
        ({"stream_options": {"include_usage": "perhaps"}}, "stream_options.include_usage"),
    ],
)
async def test_what_is_refused_is_named(
    client: openai.AsyncOpenAI, stack: Stack, body: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="fake", messages=HELLO, extra_body=body, stream=True)
    assert caught.value.param == param
    assert caught.value.code == "validation_error"
    assert caught.value.type == "invalid_request_error"
    assert "requests" not in stack.model.counters()


@pytest.mark.parametrize(
    "body",
    [
        {"n": 1, "logprobs": False, "logit_bias": {}, "modalities": ["text"], "top_logprobs": 0},
        {"tools": [], "tool_choice": "none", "parallel_tool_calls": False, "stop": [], "store": False},
        {
            "response_format": {"type": "text"},
            "stream_options": None,
            "temperature": None,
            "max_tokens": None,
        },
    ],
)
async def test_what_changes_nothing_is_taken(client: openai.AsyncOpenAI, body: dict[str, Any]) -> None:
    answer = await client.chat.completions.create(model="fake", messages=HELLO, extra_body=body)
    assert answer.choices[0].message.content


async def test_a_parameter_that_the_provider_has_not_is_named_as_it_was_sent(
    client: openai.AsyncOpenAI, user: StackUser
) -> None:
    user.connect("ollama", provider="ollama")
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="ollama/fake", messages=HELLO, verbosity="low")
    assert caught.value.code == "unsupported_control"
    assert caught.value.param == "verbosity"


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("500", openai.InternalServerError, "provider_unavailable"),
        ("401", openai.InternalServerError, "provider_authentication_error"),
        ("400", openai.BadRequestError, "provider_request_error"),
        ("429", openai.RateLimitError, "provider_rate_limited"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_provider_that_fails_at_once(
    client: openai.AsyncOpenAI, fault: str, kind: type[openai.APIStatusError], code: str, stream: bool
) -> None:
    messages: list[Any] = [{"role": "user", "content": f"[[fake fault={fault} retry_after=0]]"}]
    with pytest.raises(kind) as caught:
        await client.chat.completions.create(model="fake", messages=messages, stream=stream)
    assert caught.value.code == code


async def test_a_provider_that_fails_in_the_middle(client: openai.AsyncOpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "[[fake fault=error@3 tps=20]]"}]
    said: list[str] = []

    async def read() -> None:
        async for chunk in await client.chat.completions.create(model="fake", messages=messages, stream=True):
            said.append(chunk.choices[0].delta.content or "")

    with pytest.raises(openai.APIError, match="crashed") as caught:
        await read()
    assert "".join(said) == "t0 t1 t2 "
    assert not isinstance(caught.value, openai.APIConnectionError)
    assert caught.value.code
    with pytest.raises(openai.InternalServerError):
        await client.chat.completions.create(model="fake", messages=messages)


async def test_nobody_without_a_connection_is_answered(stack: Stack) -> None:
    bare = stack.user()
    bare.persona("Ava")
    async with openai.AsyncOpenAI(base_url=f"{stack.url}/v1", api_key=bare.key, max_retries=0) as client:
        with pytest.raises(openai.NotFoundError, match="no connection"):
            await client.chat.completions.create(model="persona:Ava", messages=HELLO)
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="gpt", messages=HELLO)
        assert caught.value.code == "model_not_found"
