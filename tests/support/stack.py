"""A whole Parley on the test servers: gateways and workers as processes of their own, and a fake model.

The session's stack is the fixture ``stack`` (one gateway, one worker); a test that kills or stops something
starts its own::

    with running_stack(database_url=postgres_url, redis_url=own_valkey.url, workers=2, lease_ttl=1) as stack:
        ada = stack.user("ada")
        ada.connect()
        async with ada.http() as http:
            answer = await http.post("/api/chat/send", json={"message": "hello"})
        stack.workers[0].send(signal.SIGKILL)

Every user is new and has nothing, no connection until :meth:`StackUser.connect` makes one; what the fake
model says is asked for in the model's name or the message, see :mod:`tests.fakes.model_server`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy import roles
from deploy.local import listener
from deploy.local.process import Child
from tests.fakes.process import ModelServer, start_model_server
from tests.support.outbound import FAKES_ARE_LOCAL
from tests.support.servers import Databases, running_redis

ADMIN_KEY = "the-key-of-the-operator-of-this-stack"

_ROOT = Path(__file__).resolve().parents[2]
_START_TIMEOUT = 60.0  # seconds
_NUMBERS = itertools.count(1)


@dataclass
class Process:
    """One process of the stack; ``end`` and ``kill`` may be called by a test, the stack does it otherwise."""

    child: Child
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.child.pid

    def send(self, sig: signal.Signals) -> None:
        """Send it a signal: SIGKILL, SIGSTOP, SIGCONT, SIGTERM."""
        self.child.send(sig)

    def end(self, timeout: float = 15.0) -> int:
        """Stop it in order and return its exit status."""
        return self.child.end(timeout=timeout)

    def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        self.child.reap()

    def wait_logged(self, text: str, timeout: float = _START_TIMEOUT) -> None:
        """Wait until it has logged ``text``."""
        deadline = time.monotonic() + timeout
        while text not in self.log.read_text(errors="replace"):
            if not self.child.running() or time.monotonic() > deadline:
                raise AssertionError(
                    f"{self.child.name} did not say {text!r}:\n{self.log.read_text(errors='replace')[-4000:]}"
                )
            time.sleep(0.05)


@dataclass
class Gateway(Process):
    """One gateway process, on a socket that outlives it."""

    url: str
    socket: socket.socket


@dataclass(frozen=True)
class StackUser:
    """Somebody with an API key."""

    stack: Stack
    id: str
    name: str
    key: str

    def http(self, gateway: int = 0, **options: Any) -> httpx.AsyncClient:
        """A client that sends the key to the ``gateway``-th gateway."""
        return httpx.AsyncClient(
            base_url=self.stack.gateways[gateway].url,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=options.pop("timeout", 30.0),
            **options,
        )

    def post(self, path: str, **options: Any) -> Any:
        """The answer to a POST that succeeds, decoded; blocks."""
        return _decoded(self.stack.request("POST", path, key=self.key, **options))

    def get(self, path: str, **options: Any) -> Any:
        """The answer to a GET that succeeds, decoded; blocks."""
        return _decoded(self.stack.request("GET", path, key=self.key, **options))

    def connect(
        self, name: str = "fake", *, provider: str = "openai", model: str | None = "fake", **fields: Any
    ) -> dict[str, Any]:
        """Make a connection to the fake model; ``settings`` are added, other fields sent as given."""
        server = self.stack.model
        settings = (
            {"host": server.ollama_url}
            if provider == "ollama"
            else {"base_url": server.openai_url, "api_key": "sk-of-the-fake"}
        )
        if model is not None:
            settings["model"] = model
        settings |= fields.pop("settings", {})
        made: dict[str, Any] = self.post(
            "/api/connections", json={"name": name, "provider": provider, "settings": settings, **fields}
        )
        return made

    def persona(self, name: str = "Ava", template: str = "You are Ava.", **fields: Any) -> dict[str, Any]:
        """Make a persona."""
        made: dict[str, Any] = self.post("/api/personas", json={"name": name, "template": template, **fields})
        return made


@dataclass
class Stack:
    """A running stack.

    Attributes:
        model: the fake model server.
        environment: what its processes are started with.
        gateways, workers: its processes; those that a test ended stay in the list.
    """

    model: ModelServer
    environment: dict[str, str]
    directory: Path
    concurrency: int = 50
    gateways: list[Gateway] = field(default_factory=list)
    workers: list[Process] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Address of the first gateway."""
        return self.gateways[0].url

    @property
    def admin_key(self) -> str:
        """Key of the first administrator."""
        return ADMIN_KEY

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of its database."""
        return self.environment["PARLEY_DATABASE_URL"]

    @property
    def redis_url(self) -> str:
        """URL of its Redis."""
        return self.environment["PARLEY_REDIS_URL"]

    def start_gateway(
        self, *, at: socket.socket | None = None, code: Path = _ROOT, **settings: object
    ) -> Gateway:
        """Start one more gateway, on a socket of its own or on that of one that has ended.

        ``code`` is the checkout that it runs, for tests of other versions.
        """
        listening = at or listener.listen("127.0.0.1", 0)
        log = self.directory / f"gateway-{len(self.gateways)}.log"
        child = self._spawn(
            roles.gateway(descriptor=listening.fileno()),
            log,
            settings,
            descriptors=[listening.fileno()],
            code=code,
        )
        gateway = Gateway(child, log, listener.url_of(listening), listening)
        self.gateways.append(gateway)
        _wait_ready(gateway)
        return gateway

    def start_worker(self, *, wait: bool = True, code: Path = _ROOT, **settings: object) -> Process:
        """Start one more worker, of the checkout ``code``; ``settings`` differ from those of the stack."""
        log = self.directory / f"worker-{len(self.workers)}.log"
        role = roles.worker(
            name=f"worker-{len(self.workers)}",
            concurrency=self.concurrency,
            namespace=self.environment.get("PARLEY_NAMESPACE", roles.NAMESPACE),
        )
        worker = Process(self._spawn(role, log, settings, code=code), log)
        self.workers.append(worker)
        if wait:
            worker.wait_logged(" ready.")
        return worker

    def user(self, name: str | None = None) -> StackUser:
        """Make a user with a key."""
        name = name or f"user-{next(_NUMBERS)}"
        made = _decoded(self.request("POST", "/api/users", key=ADMIN_KEY, json={"name": name}))
        key = _decoded(self.request("POST", f"/api/users/{made['id']}/keys", key=ADMIN_KEY, json={}))
        return StackUser(self, made["id"], name, key["key"])

    def request(self, method: str, path: str, *, key: str | None = None, **options: Any) -> httpx.Response:
        """Ask the first gateway; blocks."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.request(method, self.url + path, headers=headers, timeout=30.0, **options)

    def stop(self) -> None:
        """End what still runs, the workers first."""
        for process in (*self.workers, *self.gateways):
            process.send(signal.SIGCONT)
            process.send(signal.SIGTERM)
        for process in (*self.workers, *self.gateways):
            process.end(timeout=10.0)
        for gateway in self.gateways:
            gateway.socket.close()

    def _spawn(
        self,
        role: roles.Role,
        log: Path,
        settings: Mapping[str, object],
        *,
        descriptors: Sequence[int] = (),
        code: Path = _ROOT,
    ) -> Child:
        other = {} if code == _ROOT else {"PYTHONPATH": str(code)}
        with log.open("ab") as output:
            return Child.spawn(
                role.command(),
                name=log.stem,
                env={**self.environment, **other, **_variables(settings)},
                output=output,
                cwd=code,
                pass_fds=descriptors,
            )


@contextlib.contextmanager
def running_stack(
    *,
    database_url: str,
    redis_url: str,
    workers: int = 1,
    gateways: int = 1,
    concurrency: int = 50,
    model: ModelServer | None = None,
    **settings: object,
) -> Iterator[Stack]:
    """Gateways and workers on a migrated database and a Redis, with a fake model (a new one by default).

    Args:
        database_url: SQLAlchemy URL.
        redis_url: Redis, used by nobody else.
        workers: worker processes.
        gateways: gateway processes.
        concurrency: jobs that a worker runs at once.
        model: a fake model server that runs already.
        settings: fields of :class:`shared.settings.Settings`.
    """
    with contextlib.ExitStack() as resources:
        directory = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="parley-stack-")))
        server = model or resources.enter_context(start_model_server())
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        inherited.pop("PYTHONWARNINGS", None)
        environment = {
            **inherited,
            **_variables(
                {
                    "database_url": database_url,
                    "redis_url": redis_url,
                    "data_dir": directory / "data",
                    "admin_key": ADMIN_KEY,
                    "drain_grace": 2.0,
                    "seed_new_users": False,
                    "outbound_private": FAKES_ARE_LOCAL,
                    **settings,
                }
            ),
        }
        stack = Stack(server, environment, directory, concurrency)
        resources.callback(stack.stop)
        started = [stack.start_worker(wait=False) for _ in range(workers)]
        for _ in range(gateways):
            stack.start_gateway()
        for worker in started:
            worker.wait_logged(" ready.")
        yield stack


@pytest.fixture(scope="session")
def stack(databases: Databases, migrated_template: str) -> Iterator[Stack]:
    """The session's stack: one gateway, one worker, a Redis of its own. Nothing of it may be stopped."""
    name = databases.create(template=migrated_template)
    try:
        with (
            running_redis() as redis_url,
            running_stack(database_url=databases.url(name), redis_url=redis_url, namespace="stack") as stack,
        ):
            yield stack
    finally:
        databases.drop(name)


@pytest.fixture
def user(stack: Stack) -> StackUser:
    """A user of the session's stack whose default connection is the fake model."""
    stack.model.reset()
    made = stack.user()
    made.connect()
    return made


def _variables(settings: Mapping[str, object]) -> dict[str, str]:
    return {f"PARLEY_{name.upper()}": str(value) for name, value in settings.items()}


def _decoded(answer: httpx.Response) -> Any:
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.text}"
    return answer.json()


def _wait_ready(gateway: Gateway) -> None:
    """Wait until it answers; its socket takes connections before it does."""
    try:
        answer = httpx.get(f"{gateway.url}/health/ready", timeout=_START_TIMEOUT)
    except httpx.HTTPError as error:
        raise AssertionError(f"the gateway did not start:\n{gateway.log.read_text()[-4000:]}") from error
    assert answer.status_code == 200, answer.text
