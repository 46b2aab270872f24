"""A real Flower beside a stack, asked through its HTTP API."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deploy import roles
from deploy.local import listener
from deploy.local.process import Child
from tests.support.stack import Process, Stack, StackUser

PASSWORD = "a password of the operators"
_PATIENCE = 30.0  # seconds


@dataclass
class Watcher:
    """Flower, logged in to."""

    http: httpx.Client
    log: Path

    def task(self, job_id: str) -> dict[str, Any] | None:
        """What it shows of a job."""
        answer = self.http.get(f"/api/task/info/{job_id}")
        if answer.status_code == 404:
            return None
        assert answer.is_success, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def tasks(self) -> dict[str, dict[str, Any]]:
        """All jobs that it shows."""
        shown: dict[str, dict[str, Any]] = self.http.get("/api/tasks").raise_for_status().json()
        return shown

    def workers(self, **query: str) -> dict[str, Any]:
        """The workers, asked anew."""
        shown: dict[str, Any] = (
            self.http.get("/api/workers", params={"refresh": "1", **query}).raise_for_status().json()
        )
        return shown

    def counters(self) -> dict[str, dict[str, Any]]:
        """What the list of workers shows of each."""
        rows = self.http.get("/workers", params={"json": "1"}).raise_for_status().json()["data"]
        return {row["hostname"]: row for row in rows}

    def until_shown(self, job_id: str, state: str) -> dict[str, Any]:
        """The job, when it is shown in ``state``."""
        shown: dict[str, Any] = self.until(
            lambda: self.task(job_id), lambda shown: shown is not None and shown["state"] == state
        )
        return shown

    def until(self, ask: Callable[[], Any], right: Callable[[Any], bool], patience: float = _PATIENCE) -> Any:
        """What ``ask`` gives as soon as it is right."""
        deadline = time.monotonic() + patience
        while not right(shown := ask()):
            if time.monotonic() > deadline:
                raise AssertionError(f"Flower shows {shown}\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)
        return shown


def listened_to(worker: Process) -> Process:
    """The worker, after it has heard that somebody listens."""
    worker.wait_logged("Events of group {task} enabled by remote")
    return worker


def ask(user: StackUser, message: str, **fields: Any) -> str:
    """Have a turn accepted; the id of its job."""
    answer = httpx.post(
        f"{user.stack.url}/api/chat/send",
        json={"message": message, **fields},
        headers={"Prefer": "respond-async", "Authorization": f"Bearer {user.key}"},
        timeout=_PATIENCE,
    )
    return str(answer.raise_for_status().json()["session_id"])


@contextlib.contextmanager
def running_flower(
    stack: Stack, *, password: str = PASSWORD, settings: Mapping[str, str] | None = None
) -> Iterator[Watcher]:
    """Flower on the broker of ``stack``, after its workers have heard that it listens.

    Args:
        stack: whose workers are watched.
        password: what is logged in with.
        settings: variables that tell Flower its password, when that is not to be one of its own.
    """
    listening = listener.listen("127.0.0.1", 0)
    log = stack.directory / "flower.log"
    with log.open("wb") as output:
        child = Child.spawn(
            roles.flower(descriptor=listening.fileno()).command(),
            name="flower",
            env={**stack.environment, **(settings or {"PARLEY_FLOWER_PASSWORD": password})},
            output=output,
            cwd=stack.directory,
            pass_fds=[listening.fileno()],
        )
    try:
        with httpx.Client(
            base_url=listener.url_of(listening), auth=("admin", password), timeout=_PATIENCE
        ) as http:
            watcher = Watcher(http, log)
            assert http.get("/healthcheck").text == "OK", log.read_text()
            for worker in stack.workers:
                listened_to(worker)
            yield watcher
    finally:
        child.end()
        listening.close()
