"""An upgrade without downtime: the code before this one works on the newest schema, beside this one.

Operators migrate first and replace gateways and workers afterwards, one by one. Until the last one is
replaced, both versions share the database, the broker and the streams; and when the new one disappoints, the
old one is put back, on the schema as it is then.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.experiments.lab import LONG, config, connected
from tests.support.earlier import EarlierCode, newest_migration, unpack_earlier
from tests.support.servers import running_redis
from tests.support.stack import Stack, StackUser, running_stack

#: Whole stacks come and go: a command of its own runs these tests.
pytestmark = pytest.mark.slow

OLD, NEW = 0, 1
_ROOT = Path(__file__).resolve().parents[3]
_LEASE = 1.0  # seconds


@pytest.fixture(scope="module")
def earlier() -> Iterator[EarlierCode]:
    with tempfile.TemporaryDirectory(prefix="parley-earlier-") as folder:
        yield unpack_earlier(Path(folder))


@pytest.fixture(scope="module")
def mixed(module_postgres_url: str, earlier: EarlierCode) -> Iterator[Stack]:
    """An earlier and a present gateway on the newest schema, and no worker."""
    with (
        running_redis() as redis_url,
        running_stack(
            database_url=module_postgres_url,
            redis_url=redis_url,
            namespace="mixed",
            workers=0,
            gateways=0,
            lease_ttl=_LEASE,
        ) as stack,
    ):
        stack.start_gateway(code=earlier.root)
        stack.start_gateway()
        yield stack


@pytest.fixture(scope="module")
def ada(mixed: Stack) -> StackUser:
    """Somebody with a connection."""
    user = mixed.user()
    connected(user)
    return user


def clerk(user: StackUser, name: str) -> str:
    """A persona whose prompt needs a script."""
    module = {"name": name, "type": "advanced", "content": "Two: ${two}.", "script": "two = 1 + 1"}
    user.post("/api/modules", json=module)
    made = user.post("/api/personas", json={"name": name, "template": f"You count. @{name}"})
    return str(made["id"])


def code_of(mixed: Stack, earlier: EarlierCode, version: int) -> Path:
    return earlier.root if version == OLD else _ROOT


def turn(user: StackUser, gateway: int, **body: Any) -> dict[str, Any]:
    """A turn that is accepted by one gateway, and its trace as the other one tells it."""
    gateways = user.stack.gateways
    headers = {"Authorization": f"Bearer {user.key}"}
    answer = httpx.post(
        f"{gateways[gateway].url}/api/chat/send",
        json={"message": "count", "model": "fake/text=one%20two", **body},
        headers=headers,
        timeout=LONG,
    )
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    events = httpx.get(
        f"{gateways[1 - gateway].url}/api/chat/events/{told['session_id']}",
        params={"starting_after": "1-0"},
        headers=headers,
        timeout=LONG,
    )
    assert "event: done" in events.text, events.text
    return told


def begin_run(user: StackUser, gateway: int, play: str = "agree", **changes: Any) -> str:
    """An experiment that one gateway accepts; its path."""
    answer = httpx.post(
        f"{user.stack.gateways[gateway].url}/api/experiments",
        json={"config": config(play, play, **changes)},
        headers={"Authorization": f"Bearer {user.key}"},
        timeout=LONG,
    )
    assert answer.status_code == 202, answer.text
    return f"/api/experiments/{answer.json()['experiment_id']}"


def follow(user: StackUser, path: str, gateway: int, *, until: str | None = None) -> list[str]:
    """The types of a run's events as one gateway tells them, to the last or to the first of a type."""
    types: list[str] = []
    with httpx.stream(
        "GET",
        f"{user.stack.gateways[gateway].url}{path}/events",
        headers={"Authorization": f"Bearer {user.key}"},
        timeout=LONG,
    ) as response:
        for line in response.iter_lines():
            if line.startswith("event: "):
                types.append(line.removeprefix("event: "))
                if types[-1] == until:
                    break
    return types


def shown(user: StackUser, path: str, gateway: int) -> dict[str, Any]:
    answer = httpx.get(
        f"{user.stack.gateways[gateway].url}{path}",
        headers={"Authorization": f"Bearer {user.key}"},
        timeout=LONG,
    )
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_what_is_called_earlier_is(earlier: EarlierCode) -> None:
    assert earlier.schema <= newest_migration()
    told = subprocess.run(
        [sys.executable, "-c", "import shared, workers, gateway; print(shared.__file__)"],
        cwd=earlier.root,
        env={"PYTHONPATH": str(earlier.root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.startswith(str(earlier.root))


@pytest.mark.parametrize("version", [OLD, NEW], ids=["earlier worker", "present worker"])
def test_either_version_runs_what_either_accepts(
    mixed: Stack, ada: StackUser, earlier: EarlierCode, version: int
) -> None:
    worker = mixed.start_worker(code=code_of(mixed, earlier, version))
    try:
        persona = clerk(ada, f"clerk_{version}")
        for gateway in (OLD, NEW):
            told = turn(ada, gateway)
            assert told["content"] == "one two"
            again = turn(ada, gateway, conversation_id=told["conversation_id"])
            assert again["content"] == "one two"
            personal = turn(ada, gateway, persona_id=persona)
            trace = shown(ada, f"/api/chat/trace/{personal['session_id']}", 1 - gateway)
            assert "Two: 2." in str(trace)
            run = begin_run(ada, gateway)
            assert follow(ada, run, 1 - gateway)[-1] == "experiment_finished"
            assert shown(ada, run, gateway)["status"] == "succeeded"
    finally:
        worker.end()


@pytest.mark.parametrize("first", [OLD, NEW], ids=["forwards", "backwards"])
def test_a_run_goes_on_with_the_other_version(
    mixed: Stack, ada: StackUser, earlier: EarlierCode, first: int
) -> None:
    worker = mixed.start_worker(code=code_of(mixed, earlier, first))
    run = begin_run(ada, first, "agree,first=0.2")
    follow(ada, run, 1 - first, until="ranking")
    worker.end()
    other = mixed.start_worker(code=code_of(mixed, earlier, 1 - first))
    try:
        types = follow(ada, run, first)
        assert "resumed" in types
        assert types[-1] == "experiment_finished"
        assert shown(ada, run, first)["status"] == "succeeded"
    finally:
        other.end()
