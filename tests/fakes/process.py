"""The fake model server as a process of its own, for tests and benchmarks."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class ModelServer:
    """A running server; its blocking methods have an ``a``-named twin for tests that run in a loop."""

    port: int
    pid: int

    @property
    def ollama_url(self) -> str:
        """``host`` of Ollama's settings."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        """``base_url`` of OpenAI's settings."""
        return f"http://127.0.0.1:{self.port}/v1"

    def log(self) -> list[dict[str, Any]]:
        """The requests since the reset, in order."""
        requests: list[dict[str, Any]] = self._ask("GET", "/_fake/log")[1]["requests"]
        return requests

    def counters(self) -> dict[str, int]:
        """How often each event happened since the reset."""
        counters: dict[str, int] = self._ask("GET", "/_fake/log")[1]["counters"]
        return counters

    def wait(self, event: str, count: int = 1, timeout: float = 5.0) -> None:
        """Block until ``event`` was counted ``count`` times; ``AssertionError`` when that takes too long."""
        query = urlencode({"event": event, "count": count, "timeout": timeout})
        status, counters = self._ask("GET", f"/_fake/wait?{query}", timeout + 5)
        assert status == 200, f"{event} did not reach {count} in {timeout} s: {counters}"

    def reset(self) -> None:
        """Forget the log and the faults already played."""
        self._ask("POST", "/_fake/reset")

    async def alog(self) -> list[dict[str, Any]]:
        """:meth:`log` without blocking the loop."""
        return await asyncio.to_thread(self.log)

    async def await_(self, event: str, count: int = 1, timeout: float = 5.0) -> None:
        """:meth:`wait` without blocking the loop."""
        await asyncio.to_thread(self.wait, event, count, timeout)

    def _ask(self, method: str, path: str, timeout: float = 10.0) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()


@contextlib.contextmanager
def start_model_server(*arguments: str, **knobs: object) -> Iterator[ModelServer]:
    """Run the server with ``arguments`` of its command line and default ``knobs``; stop it at the end."""
    command = [sys.executable, "-m", "tests.fakes.model_server", "--until-stdin-closes", *arguments]
    for name, value in knobs.items():
        command += ["--knob", f"{name}={value}"]
    process = subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the fake model server did not start (exit {process.wait(5)})")
        started = json.loads(line)
        yield ModelServer(port=started["port"], pid=started["pid"])
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdin.close()
        process.stdout.close()
