"""API keys: shown once, kept as hashes, refused at once when revoked."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.state import GatewayState
from shared.database.advisory_locks import AdvisoryLock
from shared.database.models import ApiKey, AuditEntry
from shared.database.models import User as UserRow
from shared.security import keys
from shared.security.bootstrap import AdminKeyError, ensure_admin
from tests.integration.gateway.conftest import ADMIN_KEY, User, client_of, fields, problem

MakeUser = Callable[..., Awaitable[User]]


async def test_a_key_is_shown_once_and_stored_nowhere(
    admin: httpx.AsyncClient, ada: User, state: GatewayState
) -> None:
    made = (await admin.post(f"/api/users/{ada.id}/keys", json={"name": "laptop"})).json()
    assert keys.KEY_PATTERN.fullmatch(made["key"])
    assert made["key"].startswith(made["prefix"])
    listed = await admin.get(f"/api/users/{ada.id}/keys")
    assert [key["name"] for key in listed.json()["items"]] == ["laptop", "key"]
    assert made["prefix"] in listed.text
    assert made["key"] not in listed.text
    secret = made["key"].rpartition(made["prefix"] + "_")[2]
    async with state.engine.connect() as connection:
        for table in ("api_keys", "audit", "idempotency_keys"):
            rows = (await connection.execute(text(f"SELECT * FROM {table}"))).all()
            assert secret not in repr(rows)


async def test_a_revoked_key_is_refused_from_the_next_request_on(ada: User, admin: httpx.AsyncClient) -> None:
    (key,) = (await ada.http.get(f"/api/users/{ada.id}/keys")).json()["items"]
    assert (await ada.http.delete(f"/api/keys/{key['id']}")).status_code == 204
    refused = await ada.http.get("/api/users/me")
    problem(refused, 401, "unauthorized")
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert (await admin.delete(f"/api/keys/{key['id']}")).status_code == 204  # once more changes nothing
    listed = (await admin.get(f"/api/users/{ada.id}/keys")).json()["items"]
    assert listed[0]["revoked_at"] is not None


async def test_a_disabled_user_is_refused_until_enabled(ada: User, admin: httpx.AsyncClient) -> None:
    disabled = await admin.patch(f"/api/users/{ada.id}", json={"disabled": True})
    assert disabled.json()["disabled"] is True
    problem(await ada.http.get("/api/users/me"), 401, "unauthorized")
    await admin.patch(f"/api/users/{ada.id}", json={"disabled": False})
    assert (await ada.http.get("/api/users/me")).json()["name"] == "ada"


async def test_an_administrator_does_not_lock_itself_out(admin: httpx.AsyncClient) -> None:
    me = (await admin.get("/api/users/me")).json()
    assert me["is_admin"] is True
    problem(await admin.patch(f"/api/users/{me['id']}", json={"disabled": True}), 409, "own_user")


@pytest.mark.parametrize(
    "header",
    [
        "bearer {key}",
        "BEARER   {key} ",
    ],
)
async def test_the_scheme_is_read_as_the_rfc_says(app: FastAPI, ada: User, header: str) -> None:
    async with client_of(app, None) as client:
        answer = await client.get("/api/users/me", headers={"Authorization": header.format(key=ada.key)})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "key", ["x" * 513, "x" * 100_000, "\xff" * 20, "parley_", ADMIN_KEY[:-1], ADMIN_KEY + "x"]
)
async def test_other_keys_are_refused(app: FastAPI, key: str) -> None:
    async with client_of(app, None) as client:
        answer = await client.get(
            "/api/users/me", headers={b"Authorization": f"Bearer {key}".encode("latin-1")}
        )
    problem(answer, 401, "unauthorized")


async def test_one_indexed_query_authenticates(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: list[str] = []
    execute = psycopg.AsyncCursor.execute

    async def note(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        statements.append(str(query))
        return await execute(self, query, *arguments, **options)

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", note)
    problem(await ada.http.get("/api/nothing"), 404, "not_found")
    assert len(statements) == 1, statements
    assert "key_hash" in statements[0]


async def test_last_use_is_noted_at_most_once_a_minute(ada: User, state: GatewayState) -> None:
    async def last_used() -> datetime | None:
        async with state.sessions() as session:
            return await session.scalar(
                select(ApiKey.last_used_at).where(ApiKey.user_id == uuid.UUID(ada.id))
            )

    assert await last_used() is None
    await ada.http.get("/api/users/me")
    await state.key_uses.flush()
    first = await last_used()
    assert first is not None
    await ada.http.get("/api/users/me")
    await state.key_uses.flush()
    assert await last_used() == first
    async with state.sessions.begin() as session:
        await session.execute(update(ApiKey).values(last_used_at=datetime.now(UTC) - timedelta(minutes=2)))
    await ada.http.get("/api/users/me")
    await state.key_uses.flush()
    latest = await last_used()
    assert latest is not None
    assert latest >= first


async def test_acts_of_administration_are_on_record(
    admin: httpx.AsyncClient, ada: User, state: GatewayState
) -> None:
    await admin.patch(f"/api/users/{ada.id}", json={"disabled": True})
    await admin.patch(f"/api/users/{ada.id}", json={"disabled": True})  # changes nothing
    await admin.patch(f"/api/users/{ada.id}", json={"disabled": False})
    await ada.http.post(
        "/api/connections", json={"name": "c", "provider": "openai", "settings": {"api_key": "sk-1"}}
    )
    (key,) = (await ada.http.get(f"/api/users/{ada.id}/keys")).json()["items"]
    await admin.delete(f"/api/keys/{key['id']}")
    async with state.sessions() as session:
        acts = (await session.scalars(select(AuditEntry).order_by(AuditEntry.at))).all()
        names = {row.id: row.name for row in await session.scalars(select(UserRow))}
    assert [(act.action, names.get(act.actor_id) if act.actor_id else None) for act in acts] == [
        ("key.created", None),
        ("user.created", "admin"),
        ("key.created", "admin"),
        ("user.disabled", "admin"),
        ("user.enabled", "admin"),
        ("connection.created", "ada"),
        ("key.revoked", "admin"),
    ]
    assert "sk-1" not in repr([act.detail for act in acts])


async def test_users_and_scopes_are_checked(admin: httpx.AsyncClient, ada: User, make_user: MakeUser) -> None:
    problem(await admin.post("/api/users", json={"name": "ada"}), 409, "name_taken")
    problem(await admin.post(f"/api/users/{uuid.uuid4()}/keys", json={}), 404, "user_not_found")
    problem(await admin.patch(f"/api/users/{uuid.uuid4()}", json={"disabled": True}), 404, "user_not_found")
    problem(await admin.get(f"/api/users/{uuid.uuid4()}/keys"), 404, "user_not_found")
    problem(await admin.delete(f"/api/keys/{uuid.uuid4()}"), 404, "key_not_found")
    wrong = await admin.post(f"/api/users/{ada.id}/keys", json={"scopes": ["root"]})
    assert fields(problem(wrong, 422, "validation_error")) == {"scopes.0"}
    above = await admin.post(f"/api/users/{ada.id}/keys", json={"scopes": ["admin"]})
    assert fields(problem(above, 422, "validation_error")) == {"scopes"}
    grace = await make_user("grace", is_admin=True, scopes=["admin", "admin"])
    assert (await grace.http.get("/api/users")).status_code == 200


async def test_all_users_are_listed_newest_first(admin: httpx.AsyncClient, ada: User, eve: User) -> None:
    first = (await admin.get("/api/users", params={"limit": 2})).json()
    assert [user["name"] for user in first["items"]] == ["eve", "ada"]
    second = (await admin.get("/api/users", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [user["name"] for user in second["items"]] == ["admin"]
    assert second["next_cursor"] is None


async def test_a_sweep_that_is_stuck_lets_gateways_start(state: GatewayState, postgres_url: str) -> None:
    other = create_async_engine(postgres_url)
    async with other.begin() as stuck:
        for lock in set(AdvisoryLock) - {AdvisoryLock.BOOTSTRAP}:
            await stuck.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})
        async with asyncio.timeout(10):
            await ensure_admin(state.engine, ADMIN_KEY)
    await other.dispose()


async def test_another_admin_key_revokes_the_older_one(
    app: FastAPI, state: GatewayState, postgres_url: str
) -> None:
    async def works(key: str) -> bool:
        async with client_of(app, key) as client:
            return (await client.get("/api/users")).status_code == 200

    other = "another key of the operator".replace(" ", "-")
    assert await works(ADMIN_KEY)
    # As several gateways start at once, each with connections of its own.
    engines = [create_async_engine(postgres_url) for _ in range(4)]
    await asyncio.gather(*(ensure_admin(engine, other) for engine in engines))
    for engine in engines:
        await engine.dispose()
    # Done behind the gateway's back: it takes a second to know, of which nobody needs to wait here.
    state.known_keys.forget()
    assert await works(other)
    assert not await works(ADMIN_KEY)
    await ensure_admin(state.engine, ADMIN_KEY)
    state.known_keys.forget()
    assert await works(ADMIN_KEY)
    assert not await works(other)
    async with state.sessions() as session:
        assert len((await session.scalars(select(ApiKey))).all()) == 2
        assert {key.prefix for key in await session.scalars(select(ApiKey))} == {keys.CHOSEN_PREFIX}


async def test_the_admin_key_survives_restarts_and_revocation(
    app: FastAPI, admin: httpx.AsyncClient, state: GatewayState
) -> None:
    me = (await admin.get("/api/users/me")).json()
    (key,) = (await admin.get(f"/api/users/{me['id']}/keys")).json()["items"]
    await ensure_admin(state.engine, ADMIN_KEY)
    assert len((await admin.get(f"/api/users/{me['id']}/keys")).json()["items"]) == 1
    await admin.delete(f"/api/keys/{key['id']}")
    problem(await admin.get("/api/users"), 401, "unauthorized")
    await ensure_admin(state.engine, ADMIN_KEY)
    assert (await admin.get("/api/users")).status_code == 200


@pytest.mark.parametrize(
    "key", ["", "short", "x" * 15, "x" * 513, "a key with spaces", "schlüssel-schlüssel", "x" * 16 + "\n"]
)
async def test_an_unusable_admin_key_is_refused(state: GatewayState, key: str) -> None:
    with pytest.raises(AdminKeyError, match="PARLEY_ADMIN_KEY"):
        await ensure_admin(state.engine, key)


async def test_somebody_elses_key_does_not_become_the_admin_key(ada: User, state: GatewayState) -> None:
    with pytest.raises(AdminKeyError, match="another API key"):
        await ensure_admin(state.engine, ada.key)
