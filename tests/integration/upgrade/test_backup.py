"""Backups that were restored: in the middle of a turn, with a Redis that knows nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from deploy.local.key_files import new_secret_key
from deploy.local.postgres import EmbeddedPostgres
from deploy.local.valkey import EmbeddedValkey
from shared.database.migrate import upgrade
from tests.fakes.process import ModelServer, start_model_server
from tests.support.data_directory import asked, client, experience
from tests.support.parley_command import ParleyCommand
from tests.support.servers import backend, server_directory
from tests.support.stack import StackUser, running_stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(backend() != "embedded", reason="servers of the tests' own are dumped"),
]

_LONG = 60.0  # seconds
_UP = ("up", "--port", "0", "--workers", "1", "--concurrency", "20", "--no-local-model", "--detach")


def dump(server: EmbeddedPostgres, database: str, target: Path) -> None:
    """``pg_dump`` as the guide says."""
    _run(server, "pg_dump", "-Fc", "-f", str(target), *server.conninfo(database))


def restore(server: EmbeddedPostgres, database: str, source: Path) -> None:
    """``createdb`` and ``pg_restore`` as the guide says."""
    _run(server, "createdb", *server.conninfo()[:-2], database)
    _run(
        server,
        "pg_restore",
        *("--exit-on-error", "--single-transaction", "--no-owner"),
        *server.conninfo(database),
        str(source),
    )


def _run(server: EmbeddedPostgres, program: str, *arguments: str) -> None:
    path = server.programs / program
    if not path.exists():
        pytest.skip(f"{program} is not among the installed programs of PostgreSQL")
    done = subprocess.run([str(path), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with start_model_server() as server:
        yield server


def test_a_dump_in_the_middle_of_a_turn_is_restored_and_the_turn_is_answered(
    own_migrated_postgres: EmbeddedPostgres,
    own_valkey: EmbeddedValkey,
    model: ModelServer,
    tmp_path: Path,
) -> None:
    server, dumped = own_migrated_postgres, tmp_path / "parley.dump"
    settings: dict[str, Any] = {"model": model, "lease_ttl": 1, "secret_key": new_secret_key()}
    with running_stack(database_url=server.url("parley"), redis_url=own_valkey.url, **settings) as stack:
        ada = stack.user("ada")
        ada.connect()
        before = ada.post("/api/chat/send", json={"message": "one", "model": "fake/text=first"})
        slow = {"message": "two", "model": "fake/tokens=40,tps=10"}
        running = _accepted(ada, slow)
        model.wait("tokens", 3)
        dump(server, "parley", dumped)
        after = ada.post("/api/chat/send", json={"message": "three", "model": "fake/text=third"})

    restore(server, "restored", dumped)
    upgrade(server.url("restored"))
    with redis.Redis.from_url(own_valkey.url) as emptied:
        emptied.flushall()
    model.reset()
    with running_stack(database_url=server.url("restored"), redis_url=own_valkey.url, **settings) as stack:
        again = StackUser(stack, ada.id, ada.name, ada.key)
        assert _said(again, before["conversation_id"]) == ["one", "first"]
        events = _followed(again, running["session_id"])
        assert "event: post_response_complete" in events
        assert _said(again, running["conversation_id"])[-1].strip() == " ".join(f"t{n}" for n in range(40))
        assert again.get(f"/api/chat/status/{running['session_id']}")["attempt"] == 2
        lost = stack.request("GET", f"/api/conversations/{after['conversation_id']}", key=ada.key)
        assert lost.status_code == 404, "what came after the dump has not happened"
        # The connection's key came along, and can be read.
        assert model.log()[-1]["headers"]["authorization"] == "Bearer sk-of-the-fake"


def test_parley_restores_what_it_backed_up(model: ModelServer, tmp_path: Path) -> None:
    archive = tmp_path / "parley.backup"
    with server_directory() as root:
        parley = ParleyCommand(root / "data")
        parley.run(*_UP)
        try:
            with client(parley) as http:
                told = experience(http, model)
            parley.run("backup", str(archive))
        finally:
            parley.run("down")
    with server_directory() as root:
        other = ParleyCommand(root / "elsewhere")
        other.run("restore", str(archive))
        other.run(*_UP)
        try:
            with client(other) as http:
                messages = asked(http, "GET", f"/api/conversations/{told['conversation_id']}/messages")
                assert [one["content"] for one in reversed(messages["items"])] == told["said"]
                model.reset()
                question = {
                    "message": "And?",
                    "model": "fake/text=four",
                    "conversation_id": told["conversation_id"],
                }
                assert asked(http, "POST", "/api/chat/send", json=question)["content"] == "four"
                (request,) = model.log()
                assert request["headers"]["authorization"] == "Bearer sk-kept-in-the-fixture"
                run = f"/api/experiments/{told['experiment_id']}"
                replay = asked(http, "POST", f"{run}/replay", json={})
                path = f"/api/experiments/{replay['experiment_id']}"
                with http.stream("GET", f"{path}/events") as events:
                    assert "event: experiment_finished" in list(events.iter_lines())
                assert asked(http, "GET", path)["matches_source"] is True
                assert asked(http, "GET", path)["result_hash"] == told["result_hash"]
        finally:
            other.run("down")


def _accepted(user: StackUser, body: dict[str, Any]) -> dict[str, Any]:
    """A turn that is accepted, and not waited for."""
    headers = {"Authorization": f"Bearer {user.key}", "Prefer": "respond-async"}
    answer = httpx.post(f"{user.stack.url}/api/chat/send", json=body, headers=headers, timeout=_LONG)
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


def _said(user: StackUser, conversation: str) -> list[str]:
    messages = user.get(f"/api/conversations/{conversation}/messages")["items"]
    return [message["content"] for message in reversed(messages)]


def _followed(user: StackUser, session: str) -> str:
    answer = httpx.get(
        f"{user.stack.url}/api/chat/events/{session}",
        params={"starting_after": "1-0"},
        headers={"Authorization": f"Bearer {user.key}"},
        timeout=_LONG,
    )
    assert answer.status_code == 200, answer.text
    return answer.text
