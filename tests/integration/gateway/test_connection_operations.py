"""Operations on connections, carried out by a worker while the gateway waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import orjson
import pytest

from gateway.state import GatewayState
from shared.settings import Settings
from tests.fakes.process import ModelServer, start_model_server
from tests.integration.gateway.conftest import User, client_of, fields, problem, running
from tests.support.silent import silent_server
from tests.support.stack import Stack, StackUser


@pytest.fixture(scope="module")
def guarded() -> Iterator[ModelServer]:
    """A model server that wants a key."""
    with start_model_server("--api-key", "sk-right") as server:
        yield server


@pytest.fixture(scope="module")
def slow_pull() -> Iterator[ModelServer]:
    """A model server that fetches a model slowly."""
    with start_model_server(tps=2) as server:
        yield server


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream, without comments."""
    found = []
    for frame in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in frame.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], orjson.loads(lines["data"])))
    return found


@pytest.mark.parametrize(("provider", "version"), [("ollama", "0.12.0"), ("openai", None)])
async def test_a_connection_that_works(
    stack: Stack, user: StackUser, provider: str, version: str | None
) -> None:
    made = user.connect(provider, provider=provider)
    async with user.http() as http:
        answer = await http.post(f"/api/connections/{made['id']}/test")
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["status"] == "connected"
        assert told["models"] == ["fake:latest", "fake-large:latest"]
        assert told.get("version") == version
        assert 0 < told["response_time"] < 10
        models = (await http.get(f"/api/connections/{made['id']}/models")).json()
    assert models["next_cursor"] is None
    size = 1_000_000 if provider == "ollama" else None
    assert models["items"] == [
        {"name": name, "size": size, "context_length": None} for name in ("fake:latest", "fake-large:latest")
    ]


async def test_what_is_wrong_with_a_connection_is_told(
    stack: Stack, user: StackUser, guarded: ModelServer
) -> None:
    dead = user.connect("dead", settings={"base_url": "http://127.0.0.1:9/v1"}, timeouts={"connect": 1})
    wrong = user.connect("wrong", settings={"base_url": guarded.openai_url, "api_key": "sk-wrong"})
    lacking = user.connect("lacking", provider="ollama", model="nowhere")
    async with user.http() as http:
        for made, status, code in (
            (dead, 502, "provider_connection_error"),
            (wrong, 502, "provider_authentication_error"),
            (lacking, 404, "model_not_found"),
        ):
            answer = await http.post(f"/api/connections/{made['id']}/test")
            problem(answer, status, code)
            assert "sk-" not in answer.text
            assert "127.0.0.1" not in answer.text


async def test_a_query_is_a_job_that_is_listed_when_asked_for(user: StackUser) -> None:
    made = user.get("/api/connections")["items"][0]
    user.post(f"/api/connections/{made['id']}/test")
    assert user.get("/api/jobs")["items"] == []
    (job,) = user.get("/api/jobs?kind=query")["items"]
    assert job["operation"] == "test_connection"
    assert user.get(f"/api/jobs/{job['id']}")["result"]["models"]


async def test_a_model_is_fetched_with_its_progress(user: StackUser) -> None:
    made = user.connect("ollama", provider="ollama")
    async with user.http() as http:
        answer = await http.post(f"/api/connections/{made['id']}/models/pull", json={"model": "new:latest"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = events(answer.text)
    assert [kind for kind, _ in told] == ["progress"] * 6 + ["done"]
    assert [data["completed"] for _, data in told[1:4]] == [100, 200, 300]
    assert told[-1][1]["result"] == {"model": "new:latest"}


async def test_a_model_that_nobody_has_is_an_error(user: StackUser) -> None:
    made = user.connect("ollama", provider="ollama")
    async with user.http() as http:
        answer = await http.post(f"/api/connections/{made['id']}/models/pull", json={"model": "missing"})
    if answer.status_code == 200:  # it had begun before the server said so
        kind, data = events(answer.text)[-1]
        assert (kind, data["code"]) == ("error", "model_not_found")
    else:
        problem(answer, 404, "model_not_found")


async def test_hanging_up_cancels_the_fetching(user: StackUser, slow_pull: ModelServer) -> None:
    made = user.connect("slow", provider="ollama", settings={"host": slow_pull.ollama_url})
    async with user.http() as http:
        path = f"/api/connections/{made['id']}/models/pull"
        async with http.stream("POST", path, json={"model": "new"}) as answer:
            async for line in answer.aiter_lines():
                if line == "event: progress":
                    break
        await slow_pull.await_("aborted")
        job_id = answer.headers["x-session-id"]
        await http.get(f"/api/chat/events/{job_id}")
        assert (await http.get(f"/api/jobs/{job_id}")).json()["status"] == "cancelled"


async def test_only_ollama_fetches_models(user: StackUser) -> None:
    made = user.get("/api/connections")["items"][0]
    async with user.http() as http:
        path = f"/api/connections/{made['id']}/models/pull"
        told = problem(await http.post(path, json={"model": "x"}), 422, "validation_error")
        assert fields(told) == {"connection_id"}
        for body in ({}, {"model": " "}, {"model": "x", "tag": 1}):
            problem(await http.post(path, json=body), 422, "validation_error")


async def test_without_a_worker_the_gateway_says_so_and_leaves_nothing(
    settings: Settings, ada: User, eve: User
) -> None:
    made = await ada.http.post("/api/connections", json={"name": "x", "provider": "openai", "settings": {}})
    path = f"/api/connections/{made.json()['id']}"
    problem(await eve.http.post(f"{path}/test"), 404, "connection_not_found")
    async with (
        running(settings.model_copy(update={"query_timeout": 0.3})) as app,
        client_of(app, ada.key) as http,
    ):
        started = time.monotonic()
        answers = await asyncio.gather(
            http.post(f"{path}/test"), http.get(f"{path}/models"), http.post(f"{path}/test")
        )
        for answer in answers:
            assert problem(answer, 503, "no_worker")["detail"].startswith(
                "No worker took this up within 0.3 s"
            )
            assert answer.headers["retry-after"]
        assert 0.3 <= time.monotonic() - started < 5
        listed = (await http.get("/api/jobs", params={"kind": "query"})).json()["items"]
        assert [job["status"] for job in listed] == ["cancelled"] * 3
        state: GatewayState = app.state.gateway
        assert not await state.jobs.store.runnable()


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """Address of a server that says nothing."""
    async with silent_server() as address:
        yield address


async def test_a_client_that_hangs_up_leaves_no_query_behind(user: StackUser, silent: str) -> None:
    made = user.connect("silent", provider="ollama", settings={"host": silent})
    async with user.http(timeout=0.5) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.post(f"/api/connections/{made['id']}/test")
    async with user.http() as http:
        (job,) = (await http.get("/api/jobs", params={"kind": "query"})).json()["items"]
        await http.get(f"/api/chat/events/{job['id']}")
        assert (await http.get(f"/api/jobs/{job['id']}")).json()["status"] == "cancelled"
