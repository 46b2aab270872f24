"""The parts of the stack: how each is prepared, started, asked whether it is ready, and ended."""

from __future__ import annotations

import http.client
import secrets
import signal
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from deploy import roles
from deploy.local import model, openmp
from deploy.local.directories import DataDir
from deploy.local.postgres import EmbeddedPostgres
from deploy.local.process import Child
from deploy.local.valkey import EmbeddedValkey
from shared import __version__

_PROBE_TIMEOUT = 2.0  # seconds

Progress = Callable[[float], None]


class Part(ABC):
    """One kind of process that the supervisor keeps running.

    ``prepare`` and ``ready`` may block and are called off the event loop; ``spawn`` is called on it.
    """

    #: The signal that ends it in order, and the one for haste.
    stop_signal: signal.Signals = signal.SIGTERM
    hurry_signal: signal.Signals = signal.SIGKILL
    #: Seconds that it gets to end in order, and to become ready.
    stop_budget: float = 1.0
    start_budget: float = 60.0
    #: Told while it starts.
    label: str = ""

    def __init__(self, name: str, version: str, address: str) -> None:
        self.name = name
        self.version = version
        self.address = address

    def prepare(self, progress: Progress) -> None:  # noqa: B027 (most parts need nothing)
        """What must be done before it can start; ``progress`` takes how far that is (0 to 1)."""

    @abstractmethod
    def spawn(self, output: BinaryIO) -> Child:
        """Start the process."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether it does its work now."""


class ValkeyPart(Part):
    """Embedded Valkey."""

    label = "Valkey"

    def __init__(self, server: EmbeddedValkey) -> None:
        super().__init__("valkey", server.version(), server.url)
        self.server = server

    def spawn(self, output: BinaryIO) -> Child:
        """Start the process."""
        return self.server.spawn(output)

    def ready(self) -> bool:
        """Whether it answers a PING."""
        return self.server.ready()


class PostgresPart(Part):
    """Embedded PostgreSQL."""

    label = "PostgreSQL"
    stop_signal = signal.SIGINT  # fast shutdown
    hurry_signal = signal.SIGQUIT  # immediate shutdown: the next start recovers
    stop_budget = 1.5
    start_budget = 300.0  # a recovery after a crash takes its time

    def __init__(self, server: EmbeddedPostgres) -> None:
        super().__init__("postgres", server.version(), f"unix://{server.socket_dir}")
        self.server = server

    def prepare(self, progress: Progress) -> None:
        """Make the cluster, and clear the way."""
        self.server.prepare()
        self.server.end_orphans()

    def spawn(self, output: BinaryIO) -> Child:
        """Start the process."""
        return self.server.spawn(output)

    def ready(self) -> bool:
        """Whether it accepts connections."""
        return self.server.ready()


class ModelPart(Part):
    """The local model behind llama.cpp's server."""

    label = "Model"
    stop_budget = 0.5

    def __init__(self, data: DataDir, environment: Mapping[str, str], keeper: socket.socket) -> None:
        host, port = keeper.getsockname()[:2]
        super().__init__("model", f"xllamacpp {_installed('xllamacpp')}", f"http://{host}:{port}/v1")
        self._data = data
        self._port = port
        self.key = secrets.token_urlsafe(24)
        # Waiting threads sleep: spinning ones take the cores from the other parts, and when those are busy
        # the engine takes minutes for what takes seconds.
        self._environment = {"OMP_WAIT_POLICY": "PASSIVE", **environment, "PARLEY_LOCAL_MODEL_KEY": self.key}
        self.alias = model.model_name(environment)
        self.slots = int(environment.get("PARLEY_LOCAL_MODEL_SLOTS", "2"))
        self.context = int(environment.get("PARLEY_LOCAL_MODEL_CONTEXT", "8192"))
        self._path: Path | None = None
        self._sha256 = ""

    def prepare(self, progress: Progress) -> None:
        """Find or fetch the model, and what the engine needs."""
        self._path = model.ensure_model(self._data.models, self._environment, progress)
        self._sha256 = model.file_hash(self._path, self._data.models)
        if folder := openmp.provide(self._data.engine / "openmp"):
            before = self._environment.get("LD_LIBRARY_PATH")
            self._environment["LD_LIBRARY_PATH"] = f"{folder}:{before}" if before else str(folder)

    def spawn(self, output: BinaryIO) -> Child:
        """Start the process."""
        role = roles.Role(
            "deploy.local.model_server",
            (
                *("--model", str(self._path), "--alias", self.alias, "--port", str(self._port)),
                *("--slots", str(self.slots), "--context", str(self.context)),
                *("--sha256", self._sha256),
            ),
        )
        return Child.spawn(
            role.command(), name=self.name, env=self._environment, output=output, cwd=self._data.root
        )

    def ready(self) -> bool:
        """Whether the model is loaded."""
        return answers(self.address, "/health")


class ListeningPart(Part):
    """A part that serves HTTP on a socket that outlives it: who comes while it is away waits.

    Args:
        name: of the process.
        version: of the program.
        data: where it runs.
        environment: all that it is given.
        listener: the socket.
        url: under which it is reached.
    """

    #: Asked whether it is ready; answers 200 then.
    health: str

    def __init__(
        self,
        name: str,
        version: str,
        *,
        data: DataDir,
        environment: Mapping[str, str],
        listener: socket.socket,
        url: str,
    ) -> None:
        super().__init__(name, version, url)
        self._data, self._environment, self._listener = data, environment, listener

    @abstractmethod
    def role(self, descriptor: int) -> roles.Role:
        """What is started, given the number of the socket."""

    def spawn(self, output: BinaryIO) -> Child:
        """Start the process."""
        descriptor = self._listener.fileno()
        return Child.spawn(
            self.role(descriptor).command(),
            name=self.name,
            env=self._environment,
            output=output,
            cwd=self._data.root,
            pass_fds=(descriptor,),
        )

    def ready(self) -> bool:
        """Whether it answers."""
        return answers(self.address, self.health)


class GatewayPart(ListeningPart):
    """The HTTP edge."""

    label = "Gateway"
    stop_budget = 2.0
    health = "/health/live"

    def __init__(
        self, data: DataDir, environment: Mapping[str, str], listener: socket.socket, url: str
    ) -> None:
        super().__init__(
            "gateway", __version__, data=data, environment=environment, listener=listener, url=url
        )

    def role(self, descriptor: int) -> roles.Role:
        """What is started."""
        return roles.gateway(descriptor=descriptor)


class WorkerPart(Part):
    """One Celery worker process."""

    label = "Worker"
    stop_budget = 4.5

    def __init__(self, data: DataDir, environment: Mapping[str, str], number: int, concurrency: int) -> None:
        name = f"worker-{number}"
        super().__init__(name, __version__, f"{name}@{socket.gethostname()}")
        self._data, self._concurrency = data, concurrency
        # Only the gateway knows administrators by their key.
        self._environment = {name: value for name, value in environment.items() if name != "PARLEY_ADMIN_KEY"}
        self._control: Any = None

    def spawn(self, output: BinaryIO) -> Child:
        """Start the process."""
        role = roles.worker(
            name=self.name,
            concurrency=self._concurrency,
            namespace=self._environment.get("PARLEY_NAMESPACE", roles.NAMESPACE),
        )
        return Child.spawn(
            role.command(), name=self.name, env=self._environment, output=output, cwd=self._data.root
        )

    def ready(self) -> bool:
        """Whether it answers a ping through the broker, and so takes messages."""
        try:
            if self._control is None:
                self._control = _celery_control(self._environment)
            return bool(self._control.ping(destination=[self.address], timeout=_PROBE_TIMEOUT, limit=1))
        except Exception:  # the broker's client has many ways to say that it is not there
            return False


def answers(base: str, path: str) -> bool:
    """Whether a GET of the path is answered with 200."""
    parts = urlsplit(base)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_PROBE_TIMEOUT)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _celery_control(environment: Mapping[str, str]) -> Any:
    """Celery's remote control, over the broker that the workers listen to."""
    from celery import Celery

    from shared.jobs.wakeups import configure
    from shared.settings import Settings

    # What a server of one's own takes beyond its URL belongs to it: files of certificates, Sentinels.
    names = [name for name in Settings.model_fields if name.startswith(("redis_", "broker_", "namespace"))]
    told: dict[str, Any] = {name: environment.get(f"PARLEY_{name.upper()}") for name in names}
    settings = Settings(**{name: value for name, value in told.items() if value is not None})
    app = Celery("parley-supervisor", set_as_current=False)
    configure(app, settings)
    return app.control


def _installed(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "(not installed)"
