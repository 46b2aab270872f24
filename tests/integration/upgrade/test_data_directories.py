"""A data directory that an earlier version left is taken over by this one, with all that lies in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from deploy.local.postgres import EmbeddedPostgres
from tests.fakes.process import ModelServer, start_model_server
from tests.support.data_directory import FIXTURES, asked, client, unpack
from tests.support.earlier import newest_migration
from tests.support.parley_command import ParleyCommand
from tests.support.servers import backend, server_directory

#: Whole stacks come and go: a command of its own runs these tests.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(backend() != "embedded", reason="a data directory is of embedded servers"),
]

FILES = sorted(FIXTURES.glob("*.tar.xz"))
_ROOT = Path(__file__).resolve().parents[3]
#: Bytes: what is committed for every release stays in every clone.
LARGEST = 3_000_000
_UP = ("up", "--port", "0", "--workers", "1", "--concurrency", "20", "--no-local-model", "--detach")


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with start_model_server() as server:
        yield server


@pytest.fixture
def parley() -> Iterator[ParleyCommand]:
    with server_directory() as root:
        command = ParleyCommand(root / "data")
        yield command
        command.run("down", check=False)


def test_every_release_has_left_one() -> None:
    dated = r"^## (\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)"
    released = re.findall(dated, (_ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    names = {file.name.removesuffix(".tar.xz") for file in FILES}
    assert set(released) <= names, "python -m tests.support.data_directory <version> makes one"
    assert FILES
    assert all(file.stat().st_size < LARGEST for file in FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.removesuffix(".tar.xz"))
def test_it_is_brought_up_to_date_and_goes_on(parley: ParleyCommand, model: ModelServer, file: Path) -> None:
    told = unpack(file, parley.data_dir)
    key = parley.data.admin_key.read_text()
    parley.run(*_UP)
    assert parley.data.admin_key.read_text() == key
    assert _schema(parley) == newest_migration()
    with client(parley) as http:
        assert sorted(user["name"] for user in asked(http, "GET", "/api/users")["items"]) == told["users"]
        assert _said(http, told["conversation_id"]) == told["said"]
        trace = asked(http, "GET", f"/api/chat/trace/{told['session_id']}")
        assert "1 so far." in str(trace)

        # What was encrypted can be read. A stored key does not follow to another port.
        model.reset()
        connection = f"/api/connections/{told['connection_id']}"
        assert asked(http, "GET", connection)["secrets_readable"] is True
        moved = {"base_url": model.openai_url, "api_key": "sk-of-today"}
        asked(http, "PATCH", connection, json={"settings": moved})
        question = {"message": "And?", "model": "fake/text=four", "conversation_id": told["conversation_id"]}
        assert asked(http, "POST", "/api/chat/send", json=question)["content"] == "four"
        (request,) = model.log()
        assert request["headers"]["authorization"] == "Bearer sk-of-today"
        assert [message["content"] for message in request["body"]["messages"]][-1] == "And?"
        assert "1 so far." in str(request["body"])  # the persona's script runs
        assert _said(http, told["conversation_id"]) == [*told["said"], "And?", "four"]

        # An experiment's steps are all there. It replays without a model to the same digest, unless this
        # version asks in other words: then that is said, and nothing is said to be the same.
        run = f"/api/experiments/{told['experiment_id']}"
        assert asked(http, "GET", run)["result_hash"] == told["result_hash"]
        model.reset()
        replay = asked(http, "POST", f"{run}/replay", json={})
        with http.stream("GET", f"/api/experiments/{replay['experiment_id']}/events") as events:
            data = [line.removeprefix("data: ") for line in events.iter_lines() if line.startswith("data: ")]
        again = asked(http, "GET", f"/api/experiments/{replay['experiment_id']}")
        if again["status"] == "succeeded":
            assert again["result_hash"] == told["result_hash"]
            assert again["matches_source"] is True
        else:
            assert json.loads(data[-1])["code"] == "replay_diverged"
            assert again["matches_source"] is not True
        assert model.log() == []


def _said(http: Any, conversation: str) -> list[str]:
    messages = asked(http, "GET", f"/api/conversations/{conversation}/messages")["items"]
    return [message["content"] for message in reversed(messages)]


def _schema(parley: ParleyCommand) -> str:
    data = parley.data
    server = EmbeddedPostgres(data.postgres, data.sockets(), engine_copies=data.engine)
    engine = create_engine(server.url("parley"))
    try:
        with engine.connect() as connection:
            found: str = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
            return found
    finally:
        engine.dispose()
