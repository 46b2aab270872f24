"""Who may look, and that looking is all that can be done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy import roles
from deploy.local.listener import listen
from tests.integration.flower.watching import Watcher, ask, running_flower
from tests.support.stack import Stack, StackUser

PAGES = (
    "/",
    "/workers",
    "/tasks",
    "/broker",
    "/metrics",
    "/api/workers",
    "/api/tasks",
    "/api/task/types",
    "/api/queues/length",
)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def watched(stack: Stack) -> Iterator[Watcher]:
    """Flower beside the session's stack."""
    with running_flower(stack) as watcher:
        yield watcher


@pytest.mark.parametrize("path", PAGES)
def test_every_page_asks_for_the_password(watched: Watcher, path: str) -> None:
    address = watched.http.base_url
    assert httpx.get(f"{address}{path}").status_code == 401
    assert httpx.get(f"{address}{path}", auth=("admin", "guessed")).status_code == 401
    assert httpx.get(f"{address}{path}", auth=("root", "a password of the operators")).status_code == 401
    assert watched.http.get(path).status_code == 200


def test_a_probe_needs_no_password(watched: Watcher) -> None:
    assert httpx.get(f"{watched.http.base_url}/healthcheck").text == "OK"


def test_nothing_can_be_done_to_jobs_and_workers(watched: Watcher, user: StackUser) -> None:
    session = ask(user, "[[fake tokens=400 tps=20]]")
    worker = watched.until_shown(session, "STARTED")["worker"]
    for path in (
        f"/api/task/revoke/{session}?terminate=true",
        f"/api/task/abort/{session}",
        "/api/task/timeout/parley.chat?hard=1",
        "/api/task/rate-limit/parley.chat?ratelimit=1",
        "/api/task/async-apply/parley.chat",
        "/api/task/send-task/parley.chat",
        "/api/task/apply/parley.chat",
        f"/api/worker/shutdown/{worker}",
        f"/api/worker/pool/restart/{worker}",
        f"/api/worker/pool/grow/{worker}?n=1",
        f"/api/worker/pool/shrink/{worker}?n=1",
        f"/api/worker/pool/autoscale/{worker}?min=1&max=2",
        f"/api/worker/queue/add-consumer/{worker}?queue=other",
        f"/api/worker/queue/cancel-consumer/{worker}?queue=stack.chat",
    ):
        assert watched.http.post(path, json={"args": [session]}).status_code == 403, path
    assert user.get(f"/api/jobs/{session}")["status"] == "running"
    user.post(f"/api/chat/cancel/{session}")
    watched.until_shown(session, "REVOKED")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "does not start without a password: set PARLEY_FLOWER_PASSWORD"),
        ({"PARLEY_FLOWER_PASSWORD": ""}, "does not start without a password"),
        ({"PARLEY_FLOWER_PASSWORD": "short"}, "PARLEY_FLOWER_PASSWORD is too short"),
        ({"PARLEY_FLOWER_PASSWORD": "long enough", "PARLEY_NAMESPACE": "No!"}, "PARLEY_NAMESPACE"),
    ],
)
def test_it_does_not_start_open(settings: dict[str, str], told: str) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    done = subprocess.run(
        roles.flower(host="127.0.0.1", port=0).command(sys.executable),
        env={**inherited, **settings},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("parley flower: ")
    assert told in line


def test_an_address_that_is_taken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_FLOWER_PASSWORD", "long enough")
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            roles.flower(host="127.0.0.1", port=port).command(sys.executable),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(f"parley flower: cannot listen on 127.0.0.1:{port}: ")


def test_a_password_of_a_file_opens_it(stack: Stack, tmp_path: Path) -> None:
    secret = tmp_path / "flower_password"
    secret.write_text("the word of the file\n")
    settings = {"PARLEY_FLOWER_PASSWORD_FILE": str(secret)}
    with running_flower(stack, settings=settings, password="the word of the file") as watcher:
        assert json.loads(watcher.http.get("/api/tasks").text) is not None
