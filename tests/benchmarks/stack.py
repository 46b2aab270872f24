"""The processes under measurement: Postgres (durable), Valkey, a fake provider, one gateway, one worker."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

from deploy import roles
from deploy.local.postgres import EmbeddedPostgres
from deploy.local.process import Child
from deploy.local.valkey import EmbeddedValkey
from shared.database.migrate import upgrade
from tests.fakes.process import ModelServer, start_model_server
from tests.support.outbound import FAKES_ARE_LOCAL
from tests.support.servers import make_postgres, make_valkey, server_directory

ROOT = Path(__file__).resolve().parents[2]
CONCURRENCY = 1000
_START = 60.0  # seconds


class BenchmarkError(Exception):
    """The measurement could not be made."""


@dataclass
class Stack:
    """What runs; ``restart`` gives a fresh gateway and worker."""

    root: Path
    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    fake: ModelServer
    proxy_port: int
    proxy_pid: int
    traced: bool = False
    key: str = field(default_factory=lambda: "benchmark-" + secrets.token_urlsafe(24))
    port: int = 0
    _gateway: Child | None = None
    _worker: Child | None = None
    _connected: bool = False
    _secret: str = field(default_factory=lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())

    @property
    def environment(self) -> dict[str, str]:
        """Of gateway and worker: as a user would set it, and nothing that the shell brings along."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        return {
            **kept,
            "PARLEY_DATABASE_URL": self.postgres.url("parley"),
            "PARLEY_REDIS_URL": self.valkey.url,
            "PARLEY_ADMIN_KEY": self.key,
            "PARLEY_OUTBOUND_PRIVATE": FAKES_ARE_LOCAL,
            # One owner asks for everything.
            "PARLEY_OWNER_RUNNING": "0",
            "PARLEY_SECRET_KEY": self._secret,
        }

    @property
    def processes(self) -> dict[str, int]:
        """Process ids by role."""
        assert self._gateway is not None
        assert self._worker is not None
        assert self.valkey.child is not None
        assert self.postgres.child is not None
        return {
            "gateway": self._gateway.pid,
            "worker": self._worker.pid,
            "valkey": self.valkey.child.pid,
            "postgres": self.postgres.child.pid,
            "provider": self.fake.pid,
            "direct proxy": self.proxy_pid,
        }

    def start(self) -> None:
        """Start gateway and worker, and wait until a turn goes through."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        self._gateway = self._spawn("gateway", roles.gateway(host="127.0.0.1", port=self.port))
        self._worker = self._spawn("worker", roles.worker(concurrency=CONCURRENCY))
        deadline = time.monotonic() + _START
        while True:
            try:
                self._connect()
                self.ask("POST", "/api/chat/send", {"message": "hello", "model": "fake/tokens=3"})
                return
            except (OSError, http.client.HTTPException, BenchmarkError) as error:
                alive = self._gateway.running() and self._worker.running()
                if not alive or time.monotonic() > deadline:
                    raise BenchmarkError(f"the stack did not start: {error}\n{self.tail()}") from error
                time.sleep(0.1)

    def stop(self) -> None:
        """End gateway and worker."""
        for child in (self._worker, self._gateway):
            if child is not None:
                child.end(timeout=8)
        self._gateway = self._worker = None

    def restart(self) -> None:
        """Fresh processes over the same servers."""
        self.stop()
        self.start()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """A request to the gateway; its JSON.

        Raises:
            BenchmarkError: it was answered with an error.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(
                method,
                path,
                None if body is None else json.dumps(body),
                {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
            )
            answer = connection.getresponse()
            told = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise BenchmarkError(f"{method} {path}: {answer.status} {told[:300].decode(errors='replace')}")
        return json.loads(told)

    def tail(self) -> str:
        """The last lines of the logs."""
        parts = []
        for name in ("gateway", "worker"):
            path = self.root / f"{name}.log"
            if path.exists():
                parts += [f"--- {name}", *path.read_text(errors="replace").splitlines()[-15:]]
        return "\n".join(parts)

    def _connect(self) -> None:
        """Make the connection to the fake provider, once."""
        if not self._connected:
            settings = {"base_url": self.fake.openai_url}
            self.ask(
                "POST",
                "/api/connections",
                {"name": "fake", "provider": "openai", "settings": settings, "is_default": True},
            )
            self._connected = True

    def _spawn(self, name: str, role: roles.Role) -> Child:
        command = role.command()
        if self.traced:
            command[1:1] = ["-m", "tests.benchmarks.traced", str(self.root / f"{name}.trace")]
        with (self.root / f"{name}.log").open("ab") as output:
            return Child.spawn(command, name=name, env=self.environment, output=output, cwd=ROOT)


@contextlib.contextmanager
def running_stack(*, traced: bool = False) -> Iterator[Stack]:
    """Everything, started; ended at the end."""
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(server_directory())
        postgres = make_postgres(root, fsync="on")
        postgres.start()
        stack.callback(postgres.kill)
        postgres.ensure_database("parley")
        upgrade(postgres.url("parley"))
        valkey = make_valkey(root, persistent=True, maxmemory=2 << 30)
        valkey.start()
        stack.callback(valkey.kill)
        fake = stack.enter_context(start_model_server())
        port, pid = stack.enter_context(_running_proxy(f"http://127.0.0.1:{fake.port}"))
        made = Stack(root, postgres, valkey, fake, port, pid, traced)
        stack.callback(made.stop)
        made.start()
        yield made


@contextlib.contextmanager
def _running_proxy(upstream: str) -> Iterator[tuple[int, int]]:
    command = [sys.executable, "-m", "tests.benchmarks.proxy", "--upstream", upstream]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(_out(process).readline())["port"], process.pid
    finally:
        process.terminate()
        process.wait(10)
        _out(process).close()


def _out(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


class LoadProcess:
    """A load client at work."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._timeout = plan["timeout"] + 60
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.load"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.tell(json.dumps(plan))

    def tell(self, line: str) -> None:
        """Give it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def line(self) -> dict[str, Any]:
        """The next thing that it says.

        Raises:
            BenchmarkError: it ended without a word.
        """
        line = _out(self._process).readline()
        if not line:
            raise BenchmarkError(f"the load client broke (exit {self._process.wait(5)})")
        told: dict[str, Any] = json.loads(line)
        return told

    def result(self) -> dict[str, Any]:
        """Its last word; the process ends."""
        try:
            return self.line()
        finally:
            with contextlib.suppress(OSError):
                assert self._process.stdin is not None
                self._process.stdin.close()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            _out(self._process).close()


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and all that it started, in seconds."""
    total = 0.0
    process = psutil.Process(pid)
    for one in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            times = one.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def memory(pid: int) -> dict[str, float]:
    """RSS, PSS and USS of a process, in MB."""
    info = psutil.Process(pid).memory_full_info()
    return {name: round(getattr(info, name) / 1e6, 2) for name in ("rss", "pss", "uss")}
