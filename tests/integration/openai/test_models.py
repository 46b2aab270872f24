"""The list of models: personas, connections, and what their providers offer."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import openai
import pytest

from tests.support.silent import silent_server
from tests.support.stack import Stack, StackUser


async def listed(client: openai.AsyncOpenAI) -> list[str]:
    return [model.id async for model in client.models.list()]


async def test_personas_and_what_connections_offer(client: openai.AsyncOpenAI, user: StackUser) -> None:
    user.persona("Ava")
    user.persona("Off", is_active=False)
    user.connect("other", model="their/model")
    found = await client.models.list()
    assert [(model.id, model.owned_by) for model in found.data] == [
        ("persona:Ava", "parley"),
        ("other/their/model", "other"),
        ("other/fake:latest", "other"),
        ("other/fake-large:latest", "other"),
        ("fake/fake", "fake"),
        ("fake/fake:latest", "fake"),
        ("fake/fake-large:latest", "fake"),
    ]
    assert {model.object for model in found.data} == {"model"}
    assert all(abs(model.created - time.time()) < 60 for model in found.data)


@pytest.mark.parametrize(
    "model",
    [
        "persona:Ava @ home/1",
        "persona:Ava @ home/1@fake/fake",
        "fake/fake",
        "fake/fake-large:latest",
        "fake:latest",
    ],
)
async def test_each_name_answers(
    client: openai.AsyncOpenAI, user: StackUser, model: str, stack: Stack
) -> None:
    user.persona("Ava @ home/1")
    assert (await client.models.retrieve(model)).id == model
    answer = await client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])
    assert answer.model == model
    (request,) = [request for request in await stack.model.alog() if request["path"].endswith("completions")]
    assert request["body"]["model"] == (model.rpartition("/")[2] if "fake" in model else "fake")
    roles = [message["role"] for message in request["body"]["messages"]]
    assert roles == (["system", "user"] if "persona" in model else ["user"])


async def test_the_list_is_remembered_until_the_connection_changes(
    client: openai.AsyncOpenAI, user: StackUser, stack: Stack
) -> None:
    await listed(client)
    await listed(client)
    assert stack.model.counters()["requests"] == 1
    made = user.get("/api/connections")["items"][0]
    path = f"/api/connections/{made['id']}"
    stack.request("PATCH", path, key=user.key, json={"name": "renamed"})
    assert "renamed/fake:latest" in await listed(client)
    assert stack.model.counters()["requests"] == 2


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """Address of a server that says nothing."""
    async with silent_server() as address:
        yield address


async def test_a_provider_that_is_dead_or_silent_hides_nothing(
    client: openai.AsyncOpenAI, user: StackUser, silent: str
) -> None:
    user.connect("dead", settings={"base_url": "http://127.0.0.1:9/v1"}, model="its-own")
    user.connect("nameless", settings={"base_url": "http://127.0.0.1:9/v1"}, model=None)
    user.connect("silent", provider="ollama", settings={"host": silent}, model="quiet")
    started = time.monotonic()
    found = await listed(client)
    assert time.monotonic() - started < 4
    assert set(found) == {
        "dead/its-own",
        "silent/quiet",
        "fake/fake",
        "fake/fake:latest",
        "fake/fake-large:latest",
    }
    assert (await client.models.retrieve("dead/its-own")).id == "dead/its-own"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("dead/another")
