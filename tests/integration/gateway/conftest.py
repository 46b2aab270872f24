"""A gateway on a database of the test's own, and callers who use it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.routing import BaseRoute

from gateway.app import create_app
from gateway.state import GatewayState
from shared.settings import Settings

ADMIN_KEY = "the-key-of-the-operator-of-this-test"


@dataclass
class User:
    """Somebody with an API key, and a client that sends it."""

    id: str
    key: str
    http: httpx.AsyncClient


@pytest.fixture
def settings(postgres_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return Settings(
        database_url=postgres_url,
        redis_url=redis_url,
        data_dir=tmp_path / "data",
        admin_key=SecretStr(ADMIN_KEY),
        log_level="WARNING",
        # Tests count what they make.
        seed_new_users=False,
    )


_included: dict[tuple[str, int], BaseRoute] = {}


def share_routes(app: FastAPI) -> None:
    """Give the app the included routers of earlier ones, which are the same and know nothing of the app.

    FastAPI works out what is in them on an app's first request, and takes longer for it than most tests.
    """
    for at, route in enumerate(app.router.routes):
        if hasattr(route, "original_router"):
            key = (route.include_context.prefix, id(route.original_router))
            app.router.routes[at] = _included.setdefault(key, route)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[FastAPI]:
    """A gateway between its start and its end."""
    app = create_app(settings)
    share_routes(app)
    state: GatewayState = app.state.gateway
    async with state.running():
        yield app


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    async with running(settings) as made:
        yield made


@pytest.fixture
def state(app: FastAPI) -> GatewayState:
    state: GatewayState = app.state.gateway
    return state


def client_of(app: FastAPI, key: str | None) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://parley.test", headers=headers)


@pytest.fixture
async def anonymous(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, None) as client:
        yield client


@pytest.fixture
async def admin(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, ADMIN_KEY) as client:
        yield client


@pytest.fixture
async def make_user(app: FastAPI, admin: httpx.AsyncClient) -> AsyncIterator[Callable[..., Awaitable[User]]]:
    """A function that makes a user with a key (``scopes``, ``is_admin``)."""
    async with AsyncExitStack() as stack:

        async def make(name: str, *, scopes: list[str] | None = None, is_admin: bool = False) -> User:
            user = (await admin.post("/api/users", json={"name": name, "is_admin": is_admin})).json()
            made = await admin.post(f"/api/users/{user['id']}/keys", json={"scopes": scopes or []})
            assert made.status_code == 201, made.text
            key = made.json()["key"]
            return User(user["id"], key, await stack.enter_async_context(client_of(app, key)))

        yield make


@pytest.fixture
async def ada(make_user: Callable[..., Awaitable[User]]) -> User:
    return await make_user("ada")


@pytest.fixture
async def eve(make_user: Callable[..., Awaitable[User]]) -> User:
    """Another user, who owns nothing of ada's."""
    return await make_user("eve")


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of an answer, checked for what every one of them has."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"]
    document: dict[str, Any] = answer.json()
    assert document["code"] == code, document
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    assert document["type"] == f"urn:parley:problem:{code}"
    return document


def fields(document: dict[str, Any]) -> set[str]:
    """The fields that a problem document names."""
    return {fault["field"] for fault in document["errors"]}
