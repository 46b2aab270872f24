"""The secret key is turned while everything runs, and nobody notices; at the end the old one may go."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from cryptography.fernet import Fernet
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.state import GatewayState
from shared.database.repositories import connections
from shared.jobs.store import JobStore
from shared.security.reencrypt import Outcome, outcome, reencrypt
from shared.security.secrets import SecretBox
from shared.settings import Settings
from tests.integration.gateway.conftest import ADMIN_KEY, User, client_of, problem, running
from workers.jobs.turns import load_target, own_target

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))
#: What a turn sends along to be answered by a provider of its own.
TURN = {
    "message": "Hello?",
    "provider": "openai",
    "provider_settings": {"base_url": "https://api.openai.com/v1", "model": "m", "api_key": "sk-of-a-turn"},
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Of an installation that has only had one key."""
    return under(settings, OLD)


def under(settings: Settings, *keys: str) -> Settings:
    return settings.model_copy(update={"secret_key": SecretStr(",".join(keys))})


async def connect(app: FastAPI, user: User, name: str) -> UUID:
    async with client_of(app, user.key) as client:
        body = {"name": name, "provider": "openai", "settings": {"model": "m", "api_key": f"sk-of-{name}"}}
        made = await client.post("/api/connections", json=body)
        assert made.status_code == 201, made.text
        return UUID(made.json()["id"])


async def asked(app: FastAPI, user: User, key: str) -> UUID:
    """The turn of this ``Idempotency-Key``."""
    async with client_of(app, user.key) as client:
        headers = {"Prefer": "respond-async", "Idempotency-Key": key}
        accepted = await client.post("/api/chat/send", json=TURN, headers=headers)
        assert accepted.status_code == 202, accepted.text
        return UUID(accepted.json()["session_id"])


async def made_key(app: FastAPI, user: User, key: str) -> str:
    """The API key of this ``Idempotency-Key``: its answer is kept encrypted."""
    async with client_of(app, ADMIN_KEY) as client:
        headers = {"Idempotency-Key": key}
        made = await client.post(f"/api/users/{user.id}/keys", json={"name": "k"}, headers=headers)
        assert made.status_code == 201, made.text
        return str(made.json()["key"])


async def readable(engine: AsyncEngine, settings: Settings, ada: User, connection: UUID, turn: UUID) -> bool:
    """Whether a worker with these settings can call the providers of both."""
    box = SecretBox.from_settings(settings)
    stored = await load_target(engine, connection, UUID(ada.id), box, settings)
    job = await JobStore(engine, 0).get(turn)
    assert job is not None
    own = own_target(job, box, settings, of_admin=False)
    return own is not None and None not in (stored.settings.api_key, own.settings.api_key)


def command(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert settings.secret_key is not None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    environment |= {
        "PARLEY_DATABASE_URL": settings.database_url,
        "PARLEY_SECRET_KEY": settings.secret_key.get_secret_value(),
    }
    return subprocess.run(
        [sys.executable, "-m", "shared.security.reencrypt", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def run(settings: Settings, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = await asyncio.to_thread(command, settings, "--json", *arguments)
    assert not done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


async def test_the_key_is_turned_as_the_guide_says(
    settings: Settings, app: FastAPI, state: GatewayState, ada: User
) -> None:
    engine = state.engine
    first, second = under(settings, OLD, NEW), under(settings, NEW, OLD)
    begun = [(await connect(app, ada, "old"), await asked(app, ada, "t-old"))]
    keys = {"k-old": await made_key(app, ada, "k-old")}
    # 1. `old,new` everywhere, one process after the other. 2. `new,old` everywhere, likewise.
    for before, after, name in ((settings, first, "first"), (first, second, "second")):
        async with running(before) as one, running(after) as other:
            for gateway in (one, other):
                call = f"{name}-{gateway is other}"
                begun.append((await connect(gateway, ada, call), await asked(gateway, ada, call)))
                keys[call] = await made_key(gateway, ada, call)
            for connection, turn in begun:
                assert await readable(engine, before, ada, connection, turn)
                assert await readable(engine, after, ada, connection, turn)
            for gateway in (one, other):
                assert await asked(gateway, ada, "t-old") == begun[0][1]
                for call, made in keys.items():
                    assert await made_key(gateway, ada, call) == made
                assert await asked(gateway, ada, f"{name}-False") == begun[-2][1]
                assert await asked(gateway, ada, f"{name}-True") == begun[-1][1]
    # 3. What is stored is encrypted anew.
    async with engine.connect() as opened:
        dates = (await opened.execute(text("SELECT id, updated_at FROM connections ORDER BY id"))).all()
    status, told = await run(second, "--check")
    assert (status, told["outcome"]) == (Outcome.LEFT, "left")
    assert {name: table["remaining"] for name, table in told["tables"].items()} == {
        "connections": 4,
        "jobs": 4,
        "idempotency_keys": 4,
    }
    status, told = await run(second, "--batch", "2")
    assert (status, told["outcome"]) == (Outcome.DONE, "done")
    for table in told["tables"].values():
        assert table == {"reencrypted": 4, "current": 5, "remaining": 0, "unreadable": []}
    async with engine.connect() as opened:
        again = (await opened.execute(text("SELECT id, updated_at FROM connections ORDER BY id"))).all()
    assert again == dates
    # 4. The old key goes: everything can be read, and what was asked since step 2 is known again.
    last = under(settings, NEW)
    for connection, turn in begun:
        assert await readable(engine, last, ada, connection, turn)
    async with running(last) as gateway:
        assert await made_key(gateway, ada, "second-True") == keys["second-True"]
        assert await asked(gateway, ada, "second-True") == begun[-1][1]
        # That is what PARLEY_IDEMPOTENCY_RETENTION is waited for.
        async with client_of(gateway, ada.key) as client:
            headers = {"Idempotency-Key": "t-old"}
            answer = await client.post("/api/chat/send", json=TURN, headers=headers)
            problem(answer, 422, "idempotency_key_reused")
    assert await run(last, "--check") == (
        Outcome.DONE,
        {**told, "tables": {name: {**table, "reencrypted": 0} for name, table in told["tables"].items()}},
    )


async def test_what_is_written_meanwhile_is_not_overwritten(
    settings: Settings, app: FastAPI, state: GatewayState, ada: User
) -> None:
    connection = await connect(app, ada, "mine")
    newest = SecretBox(OLD).encrypt({"api_key": "sk-newest"})

    class Slow(SecretBox):
        """Somebody changes the connection between its reading and its writing."""

        def reencrypt(self, token: bytes) -> bytes | None:
            if token != newest:
                with psycopg.connect(settings.database_url.replace("+psycopg", "")) as other:
                    other.execute("UPDATE connections SET secrets = %s", (newest,))
            return super().reencrypt(token)

    counts = await reencrypt(state.engine, Slow(NEW, OLD))
    assert (counts["connections"].reencrypted, counts["connections"].remaining) == (0, 1)
    assert outcome(counts) is Outcome.LEFT
    counts = await reencrypt(state.engine, SecretBox(NEW, OLD))
    assert (counts["connections"].reencrypted, counts["connections"].remaining) == (1, 0)
    async with state.sessions() as session:
        row = await connections.get(session, UUID(ada.id), connection)
        assert connections.stored_secrets(row, SecretBox(NEW)) == {"api_key": "sk-newest"}


async def test_what_no_key_reads_is_named_and_left_as_it_is(
    settings: Settings, app: FastAPI, state: GatewayState, ada: User
) -> None:
    connection = await connect(app, ada, "mine")
    async with state.engine.connect() as opened:
        before = (await opened.execute(text("SELECT secrets FROM connections"))).scalar()
    status, told = await run(under(settings, NEW))
    assert (status, told["outcome"]) == (Outcome.UNREADABLE, "unreadable")
    assert told["tables"]["connections"]["unreadable"] == [str(connection)]
    async with state.engine.connect() as opened:
        assert (await opened.execute(text("SELECT secrets FROM connections"))).scalar() == before
    for_people = await asyncio.to_thread(command, under(settings, NEW))
    assert f"unreadable: {connection}" in for_people.stdout
    assert "put it behind the others in PARLEY_SECRET_KEY" in for_people.stdout


def test_what_it_cannot_work_with_is_said_in_a_line(settings: Settings, tmp_path: Path) -> None:
    bad = command(under(settings, "the-key-of-somebody"))
    assert bad.returncode == Outcome.MISCONFIGURED
    assert bad.stderr.startswith("parley reencrypt: ")
    assert "PARLEY_SECRET_KEY" in bad.stderr
    assert "the-key-of-somebody" not in bad.stderr
    lost = settings.model_copy(update={"database_url": "postgresql://u:the-password@127.0.0.1:1/none"})
    away = command(lost)
    assert away.returncode == Outcome.NO_DATABASE
    assert "PARLEY_DATABASE_URL" in away.stderr
    assert "the-password" not in away.stderr
    assert command(settings, "--batch", "0").returncode == Outcome.MISCONFIGURED


def test_a_database_without_tables_is_said(settings: Settings, empty_database_url: str) -> None:
    done = command(settings.model_copy(update={"database_url": empty_database_url}))
    assert done.returncode == Outcome.NO_DATABASE
    assert "never migrated" in done.stderr
