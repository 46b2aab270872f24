"""Bad input gets a clear error that names the field and the remedy, and repeats nothing that was sent."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import sqlalchemy.exc
from fastapi import FastAPI
from starlette.requests import Request

from gateway.routing import make_router
from shared.errors import ConversationBusyError
from shared.settings import Settings
from tests.integration.gateway.conftest import User, fields, problem, running

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"",
        b'{"name": NaN}',
        b'{"name": Infinity}',
        b"{'name': 1}",
        b'{"name": "\\ud800"}',
        b'{"name": "\xff\xfe"}',
        b'{"name": "x"} trailing',
        b"[" * 100_000,
        b"\xef\xbb\xbf{}",
    ],
)
async def test_what_is_not_json(ada: User, content: bytes) -> None:
    answer = await ada.http.post("/api/personas", content=content, headers=JSON)
    if content == b"":
        assert fields(problem(answer, 422, "validation_error")) == {"body"}
        return
    problem(answer, 400, "malformed_json")


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}])
async def test_json_that_is_not_declared_as_such(ada: User, headers: dict[str, str]) -> None:
    answer = await ada.http.post("/api/personas", content=b'{"name": "x"}', headers=headers)
    document = problem(answer, 422, "validation_error")
    assert "Content-Type: application/json" in document["detail"]


@pytest.mark.parametrize("body", [[], "text", 7, None])
async def test_json_that_is_not_an_object(ada: User, body: Any) -> None:
    problem(await ada.http.post("/api/personas", json=body), 422, "validation_error")


async def test_nul_is_refused_wherever_it_stands(ada: User) -> None:
    for body, field in (
        ({"name": "a\x00", "template": "t"}, "name"),
        ({"name": "a", "template": "t\x00"}, "template"),
        ({"name": "a", "template": "t", "extra_data": {"deep": [{"x": "\x00"}]}}, "extra_data.deep.0.x"),
        ({"name": "a", "template": "t", "extra_data": {"\x00": 1}}, "extra_data"),
    ):
        document = problem(await ada.http.post("/api/personas", json=body), 422, "validation_error")
        assert fields(document) == {field}
        assert "NUL" in document["detail"]
    problem(await ada.http.get("/api/conversations", params={"q": "a\x00"}), 422, "validation_error")
    # The six characters of the escape are ordinary text.
    literal = await ada.http.post("/api/personas", json={"name": "a", "template": "say \\u0000"})
    assert literal.status_code == 201
    assert literal.json()["template"] == "say \\u0000"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"template": "t"}, "name"),
        ({"name": "", "template": "t"}, "name"),
        ({"name": "  ", "template": "t"}, "name"),
        ({"name": "a\nb", "template": "t"}, "name"),
        ({"name": "x" * 256, "template": "t"}, "name"),
        ({"name": 7, "template": "t"}, "name"),
        ({"name": None, "template": "t"}, "name"),
        ({"name": "a", "template": " \n"}, "template"),
        ({"name": "a", "template": "t" * 200_001}, "template"),
        ({"name": "a", "template": "t", "mode": "autonomous"}, "mode"),
        ({"name": "a", "template": "t", "mode": "sleepy"}, "mode"),
        ({"name": "a", "template": "t", "history": {"max_messages": -1}}, "history.max_messages"),
        ({"name": "a", "template": "t", "history": {"max_message": 1}}, "history.max_message"),
        ({"name": "a", "template": "t", "history": 3}, "history"),
        ({"name": "a", "template": "t", "extra_data": []}, "extra_data"),
        ({"name": "a", "template": "t", "is_active": "maybe"}, "is_active"),
        ({"name": "a", "template": "t", "first_message": ""}, "first_message"),
        ({"name": "a", "template": "t", "temlpate": "t"}, "temlpate"),
    ],
)
async def test_wrong_fields_are_named(ada: User, body: dict[str, Any], field: str) -> None:
    document = problem(await ada.http.post("/api/personas", json=body), 422, "validation_error")
    assert fields(document) == {field}
    assert field in document["detail"]
    if body.get("mode") == "autonomous":
        assert "use reactive" in document["detail"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"name": "Mood"}, "name: must be a small letter and up to 49 more of a-z, 0-9 and _"),
        (
            {"name": "m", "content": "x" * 200_001},
            "content: must have at most 200000 characters, and has 200001",
        ),
    ],
)
async def test_limits_are_told_in_words(ada: User, body: dict[str, Any], message: str) -> None:
    document = problem(await ada.http.post("/api/modules", json=body), 422, "validation_error")
    assert document["detail"] == message


async def test_a_misspelt_query_parameter_is_refused_and_nothing_is_made(ada: User) -> None:
    body = {"format": "parley.persona", "persona": {"name": "Mia", "template": "Be kind."}}
    refused = await ada.http.post("/api/personas/import?dryrun=true", json=body)
    document = problem(refused, 422, "validation_error")
    assert fields(document) == {"dryrun"}
    assert "dry_run" in document["detail"]
    assert "Mia" not in [one["name"] for one in (await ada.http.get("/api/personas")).json()["items"]]
    assert fields(problem(await ada.http.get("/api/users/me?x=1"), 422, "validation_error")) == {"x"}


@pytest.mark.parametrize("path", ["/v1/models", "/health/live", "/health/ready"])
async def test_elsewhere_a_query_parameter_that_is_not_known_is_ignored(ada: User, path: str) -> None:
    assert (await ada.http.get(f"{path}?x=1")).status_code == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"provider": "ollama"}, "provider and provider_settings go together"),
        ({"parent_message_id": str(uuid.uuid4())}, "parent_message_id needs conversation_id"),
    ],
)
async def test_fields_that_do_not_fit_together_are_told(
    ada: User, body: dict[str, Any], message: str
) -> None:
    answer = await ada.http.post("/api/chat/send", json={"message": "Hi", **body})
    told = problem(answer, 422, "validation_error")
    assert told["errors"] == [{"field": "body", "message": message}]


async def test_every_fault_is_told_and_no_value(ada: User) -> None:
    answer = await ada.http.post(
        "/api/personas", json={"name": ["hunter2"], "template": {"x": "hunter2"}, "is_active": "hunter2"}
    )
    assert fields(problem(answer, 422, "validation_error")) == {"name", "template", "is_active"}
    assert "hunter2" not in answer.text


async def test_ids_limits_and_cursors(ada: User) -> None:
    for path, field in (
        ("/api/personas/7", "persona_id"),
        ("/api/personas?limit=0", "limit"),
        ("/api/personas?limit=201", "limit"),
        ("/api/personas?limit=x", "limit"),
        ("/api/personas?cursor=x", "cursor"),
        ("/api/personas?cursor=" + "x" * 501, "cursor"),
        ("/api/conversations?q=", "q"),
        ("/api/conversations?q=%20", "q"),
        ("/api/conversations?q=" + "x" * 201, "q"),
        ("/api/conversations?persona_id=x", "persona_id"),
    ):
        document = problem(await ada.http.get(path), 422, "validation_error")
        assert fields(document) == {field}, path


async def test_unknown_routes_and_methods(ada: User, anonymous: httpx.AsyncClient) -> None:
    problem(await ada.http.get("/api/nothing"), 404, "not_found")
    problem(await anonymous.get("/nothing"), 404, "not_found")
    wrong = await ada.http.put("/api/personas")
    problem(wrong, 405, "method_not_allowed")
    assert "GET" in wrong.headers["allow"]


async def test_a_body_that_is_too_large(ada: User, app: FastAPI) -> None:
    limit = app.state.gateway.settings.max_body
    declared = await ada.http.post("/api/personas", content=b" " * (limit + 1), headers=JSON)
    problem(declared, 413, "body_too_large")
    sent = 0

    async def endless(start: bytes = b"") -> AsyncIterator[bytes]:
        nonlocal sent
        sent = 0
        yield start
        while sent < 4 * limit:
            sent += 65_536
            yield b" " * 65_536

    problem(await ada.http.post("/api/personas", content=endless(), headers=JSON), 413, "body_too_large")
    assert sent <= limit + 65_536
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.png"\r\n\r\n'
    upload = await ada.http.post(
        f"/api/personas/{ada.id}/image",
        content=endless(part),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    problem(upload, 413, "body_too_large")
    assert sent <= limit + 65_536


async def test_a_request_keeps_the_id_that_the_client_gave(anonymous: httpx.AsyncClient) -> None:
    given = await anonymous.get("/health/live", headers={"X-Request-ID": "trace-1.a_b"})
    assert given.headers["x-request-id"] == "trace-1.a_b"
    forged = await anonymous.get("/health/live", headers={"X-Request-ID": "a b"})
    assert forged.headers["x-request-id"] != "a b"
    assert len(forged.headers.get_list("x-request-id")) == 1


@pytest.fixture
async def faulty(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway with routes that fail in every way."""
    router = make_router("/fail", "fail")

    @router.get("/{kind}")
    async def fail(kind: str, request: Request) -> None:
        match kind:
            case "bug":
                raise RuntimeError("secret detail at 10.0.0.7")
            case "sql":
                raise sqlalchemy.exc.ProgrammingError("SELECT secret", {"x": "secret"}, Exception("secret"))
            case "gone":
                raise sqlalchemy.exc.OperationalError("SELECT secret", {}, Exception("10.0.0.7 refused"))
            case _:
                raise ConversationBusyError("wait for it", headers={"Retry-After": "3"})

    from gateway import app as module

    monkeypatch.setattr(module, "API", [*module.API, router])
    monkeypatch.setattr(module, "OPENAI", [*module.OPENAI, router])
    async with running(settings) as app:
        key = settings.admin_key.get_secret_value() if settings.admin_key else ""
        transport = httpx.ASGITransport(app=app)  # raises what the application lets out
        async with httpx.AsyncClient(
            transport=transport, base_url="http://x", headers={"Authorization": f"Bearer {key}"}
        ) as client:
            yield client


@pytest.mark.parametrize("kind", ["bug", "sql"])
async def test_the_unexpected_is_logged_and_not_told(
    faulty: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await faulty.get(f"/api/fail/{kind}")
    document = problem(answer, 500, "internal_error")
    assert "secret" not in answer.text
    assert "10.0.0.7" not in answer.text
    assert answer.headers["x-request-id"] in document["detail"]
    (record,) = (record for record in caplog.records if record.name == "gateway.context")
    assert record.exc_info


async def test_a_server_that_is_away_is_503_without_its_address(
    faulty: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await faulty.get("/api/fail/gone")
    problem(answer, 503, "not_ready")
    assert answer.headers["retry-after"] == "1"
    assert "10.0.0.7" not in answer.text


async def test_expected_errors_carry_their_headers(faulty: httpx.AsyncClient) -> None:
    answer = await faulty.get("/api/fail/busy")
    problem(answer, 409, "conversation_busy")
    assert answer.headers["retry-after"] == "3"


async def test_openai_clients_get_their_shape(faulty: httpx.AsyncClient) -> None:
    for path, status, kind, code in (
        ("/v1/fail/bug", 500, "server_error", "internal_error"),
        ("/v1/fail/gone", 503, "server_error", "not_ready"),
        ("/v1/fail/busy", 409, "conflict_error", "conversation_busy"),
        ("/v1/nothing", 404, "not_found_error", "not_found"),
    ):
        answer = await faulty.get(path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json"
        error = answer.json()["error"]
        assert (error["type"], error["code"]) == (kind, code)
        assert "10.0.0.7" not in answer.text


async def test_postgres_that_does_not_answer_is_503_for_every_caller(
    settings: Settings, app: FastAPI
) -> None:
    """Also where the key is looked up, before any route."""
    away = settings.model_copy(update={"database_url": "postgresql+psycopg://nobody@127.0.0.1:1/none"})
    from gateway.app import create_app

    lost = create_app(away)
    transport = httpx.ASGITransport(app=lost)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        answer = await client.get("/api/personas", headers={"Authorization": "Bearer something"})
        problem(answer, 503, "not_ready")
        ready = await client.get("/health/ready")
    assert ready.json()["checks"]["postgres"]["status"] == "failed"
    await lost.state.gateway.engine.dispose()
    await lost.state.gateway.redis.aclose()


async def test_the_contract_is_served(anonymous: httpx.AsyncClient) -> None:
    document = (await anonymous.get("/openapi.json")).json()
    created = document["paths"]["/api/personas"]["post"]["responses"]
    assert "201" in created
    schema = created["default"]["content"]["application/problem+json"]["schema"]
    assert "code" in schema["properties"]
    assert "$ref" not in str(schema)
