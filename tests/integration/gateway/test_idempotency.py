"""The same Idempotency-Key and body give the same answer, and one thing made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from gateway.state import GatewayState
from shared.settings import Settings
from tests.integration.gateway.conftest import ADMIN_KEY, User, client_of, fields, problem, running

CREATING: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("/api/personas", {"name": "a", "template": "t"}, {"name": "b", "template": "t"}),
    (
        "/api/personas/import",
        {"persona": {"name": "a", "template": "t"}},
        {"persona": {"name": "b", "template": "t"}},
    ),
    ("/api/conversations", {"title": "a"}, {"title": "b"}),
    (
        "/api/connections",
        {"name": "a", "provider": "openai", "settings": {"api_key": "sk-one"}},
        # Only a secret differs: it counts.
        {"name": "a", "provider": "openai", "settings": {"api_key": "sk-two"}},
    ),
    ("/api/users", {"name": "a"}, {"name": "b"}),
    ("/api/users/{me}/keys", {"name": "a"}, {"name": "b"}),
]


@pytest.fixture
async def me(admin: httpx.AsyncClient) -> str:
    answer: dict[str, str] = (await admin.get("/api/users/me")).json()
    return answer["id"]


@pytest.mark.parametrize(("path", "body", "other"), CREATING)
async def test_a_repeated_request_gets_the_same_answer(
    admin: httpx.AsyncClient,
    state: GatewayState,
    me: str,
    path: str,
    body: dict[str, Any],
    other: dict[str, Any],
) -> None:
    path = path.format(me=me)
    headers = {"Idempotency-Key": "k-1"}
    first = await admin.post(path, json=body, headers=headers)
    assert first.status_code == 201, first.text
    assert "idempotent-replayed" not in first.headers
    shuffled = dict(reversed(body.items()))
    again = await admin.post(path, json=shuffled, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    reused = await admin.post(path, json=other, headers=headers)
    assert fields(problem(reused, 422, "idempotency_key_reused")) == {"Idempotency-Key"}
    renewed = await admin.post(path, json=other, headers={"Idempotency-Key": "k-2"})
    assert renewed.status_code in {201, 409}
    async with state.engine.connect() as connection:
        kept = repr((await connection.execute(text("SELECT * FROM idempotency_keys"))).all())
    assert "sk-one" not in kept
    if "key" in first.json():
        # Whole: the secret may hold an underscore, and two letters of it stand anywhere.
        assert first.json()["key"] not in kept
        assert first.json()["key"].split("_", 2)[2] not in kept


async def test_a_query_is_part_of_the_request(ada: User) -> None:
    document = {"persona": {"name": "a", "template": "t"}}
    headers = {"Idempotency-Key": "k"}
    await ada.http.post("/api/personas/import", json=document, headers=headers)
    renamed = await ada.http.post("/api/personas/import?rename=true", json=document, headers=headers)
    problem(renamed, 422, "idempotency_key_reused")


async def test_keys_belong_to_their_owner_and_route(ada: User, eve: User) -> None:
    headers = {"Idempotency-Key": "same"}
    one = await ada.http.post("/api/conversations", json={}, headers=headers)
    two = await eve.http.post("/api/conversations", json={}, headers=headers)
    assert one.json()["id"] != two.json()["id"]
    made = await ada.http.post("/api/personas", json={"name": "a", "template": "t"}, headers=headers)
    assert made.status_code == 201


async def test_without_a_key_each_request_makes_one(ada: User) -> None:
    ids = {(await ada.http.post("/api/conversations", json={})).json()["id"] for _ in range(3)}
    assert len(ids) == 3


async def test_an_error_is_not_remembered(ada: User) -> None:
    headers = {"Idempotency-Key": "k"}
    body = {"name": "a", "template": "t"}
    first = (await ada.http.post("/api/personas", json=body)).json()
    problem(await ada.http.post("/api/personas", json=body, headers=headers), 409, "name_taken")
    await ada.http.delete(f"/api/personas/{first['id']}")
    made = await ada.http.post("/api/personas", json=body, headers=headers)
    assert made.status_code == 201


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "é", "tab\tkey"])
async def test_a_key_that_cannot_be_one(ada: User, key: str) -> None:
    answer = await ada.http.post(
        "/api/conversations", json={}, headers={b"Idempotency-Key": key.encode("latin-1")}
    )
    assert fields(problem(answer, 422, "validation_error")) == {"Idempotency-Key"}


@pytest.fixture
async def gateways(settings: Settings, app: FastAPI) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Two gateways on the same database."""
    async with (
        running(settings) as second,
        client_of(app, ADMIN_KEY) as one,
        client_of(second, ADMIN_KEY) as two,
    ):
        yield [one, two]


@pytest.mark.parametrize(("path", "body", "other"), CREATING)
async def test_requests_at_once_make_one_thing(
    gateways: list[httpx.AsyncClient], me: str, path: str, body: dict[str, Any], other: dict[str, Any]
) -> None:
    path = path.format(me=me)
    answers = await asyncio.gather(
        *(
            gateway.post(path, json=body, headers={"Idempotency-Key": "at-once"})
            for gateway in gateways
            for _ in range(3)
        )
    )
    assert [answer.status_code for answer in answers] == [201] * 6, [answer.text for answer in answers]
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 5
