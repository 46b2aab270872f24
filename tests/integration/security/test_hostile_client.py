"""A client that means harm, or means well and errs, gets an answer that says so, and harms nobody else."""

from __future__ import annotations

import uuid
from typing import Any

import orjson
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.state import GatewayState
from shared.database.models import Job
from tests.integration.gateway.conftest import User, fields, problem

JSON = {"Content-Type": "application/json"}


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize("levels", [150, 500, 900, 1015])
async def test_a_body_that_is_nested_too_deep_is_refused(ada: User, levels: int) -> None:
    bodies = {
        "/api/personas": b'{"name":"x","template":"t","extra_data":{"a":%b}}',
        "/api/chat/send": b'{"message":"Hi","chat_controls":{"tools":[{"a":%b}]}}',
        "/api/connections": b'{"name":"x","provider":"openai","settings":{"a":%b}}',
    }
    for path, body in bodies.items():
        answer = await ada.http.post(path, content=body % nested(levels), headers=JSON)
        assert "levels" in problem(answer, 422, "validation_error")["detail"], path
    answer = await ada.http.post("/v1/chat/completions", content=b'{"a":%b}' % nested(levels), headers=JSON)
    assert answer.status_code == 400
    assert "levels" in answer.json()["error"]["message"]


async def test_what_people_nest_is_taken(ada: User) -> None:
    body = b'{"name":"x","template":"[{[{","extra_data":{"a":%b,"b":%b}}' % (
        nested(60),
        b"[" + b",".join([b"[[]]"] * 5000) + b"]",
    )
    assert (await ada.http.post("/api/personas", content=body, headers=JSON)).status_code == 201


@pytest.mark.parametrize("number", [b"1e25", b"123456789012345678901234567890", b"1e308", b"-1e300"])
async def test_numbers_of_any_size_survive_the_database(
    ada: User, state: GatewayState, number: bytes
) -> None:
    await ada.http.post(
        "/api/connections", json={"name": "c", "provider": "openai", "settings": {"model": "m"}}
    )
    body = b'{"message":"Hi","chat_controls":{"tools":[{"a":%b}]}}' % number
    sent = await ada.http.post("/api/chat/send", content=body, headers={**JSON, "Prefer": "respond-async"})
    assert sent.status_code == 202, sent.text
    job_id = uuid.UUID(sent.json()["session_id"])
    async with state.sessions() as session:
        stored = await session.scalar(select(Job).where(Job.id == job_id))
        read = await state.jobs.store.get(job_id)
    assert stored is not None
    assert read is not None
    for payload in (stored.payload, read.payload):
        tools = payload["controls"]["tools"]
        assert orjson.loads(orjson.dumps(tools)) == [{"a": orjson.loads(number)}]


@pytest.mark.parametrize("name", ["Expect", "upgrade", "Trailer", "Keep-Alive", "Content-Encoding"])
async def test_headers_that_steer_the_connection_cannot_be_set(ada: User, name: str) -> None:
    answer = await ada.http.post(
        "/api/connections",
        json={"name": "c", "provider": "openai", "settings": {"extra_headers": {name: "100-continue"}}},
    )
    assert fields(problem(answer, 422, "validation_error")) == {"settings.extra_headers"}


@pytest.mark.parametrize("model", ["  ", "a\r\nX: 1", "a\x07", "m" * 201])
async def test_the_name_of_a_model_is_one_line(ada: User, model: str) -> None:
    answer = await ada.http.post("/api/chat/send", json={"message": "Hi", "model": model})
    assert fields(problem(answer, 422, "validation_error")) == {"model"}
    settings: dict[str, Any] = {"host": "http://127.0.0.1:1", "model": model}
    answer = await ada.http.post(
        "/api/connections", json={"name": "c", "provider": "ollama", "settings": settings}
    )
    assert fields(problem(answer, 422, "validation_error")) == {"settings.model"}


async def test_a_refusal_is_not_larger_than_it_must_be(ada: User) -> None:
    many = await ada.http.post("/api/personas", json={f"f{n}": 1 for n in range(20_000)})
    assert "more" in problem(many, 422, "validation_error")["detail"]
    long = await ada.http.post("/api/personas", json={"k" * 1_000_000: 1})
    problem(long, 422, "validation_error")
    assert max(len(many.content), len(long.content)) < 20_000


async def test_an_error_of_the_database_keeps_the_values_to_itself(state: GatewayState) -> None:
    async with state.sessions() as session:
        with pytest.raises(SQLAlchemyError) as raised:
            await session.execute(text("SELECT 1 / :zero, :value"), {"zero": 0, "value": "the-secret-value"})
    assert "the-secret-value" not in str(raised.value)
