"""The chart's roles as processes that have nothing but what their pods have."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from deploy.local.process import Child
from tests.unit.deploy.kubernetes.rendered import Rendered

ADMIN_KEY = "the-key-of-the-operator-of-this-cluster"
START_TIMEOUT = 60.0  # seconds


@dataclass
class Pod:
    """A role as a process that has nothing but what its pod has.

    Attributes:
        container: as it was rendered.
        ports: those that it listens on here, by the name of the container's port.
    """

    container: dict[str, Any]
    child: Child
    log: Path
    ports: dict[str, int] = field(default_factory=dict)

    def probe(self, name: str) -> bool:
        """Whether a probe of the container finds it well."""
        asked = self.container[f"{name}Probe"]["httpGet"]
        try:
            url = f"http://127.0.0.1:{self.ports[asked['port']]}{asked['path']}"
            return httpx.get(url, timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def well(self) -> bool:
        """Whether it passes every probe that its container has."""
        probes = [name.removesuffix("Probe") for name in self.container if name.endswith("Probe")]
        return bool(probes) and all(self.probe(name) for name in probes)

    def wait(self, until: Callable[[], bool]) -> None:
        """Wait for a probe that it passes."""
        deadline = time.monotonic() + START_TIMEOUT
        while not until():
            told = self.log.read_text(errors="replace")[-3000:]
            assert self.child.running(), f"{self.child.name} ended:\n{told}"
            assert time.monotonic() < deadline, f"{self.child.name} is not well:\n{told}"
            time.sleep(0.1)

    def exit_status(self, timeout: float) -> int:
        """How it ended; it must end within ``timeout`` seconds."""
        assert self.child.wait(timeout), f"{self.child.name} goes on:\n{self.log.read_text()[-3000:]}"
        return self.child.reap()


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


def start(rendered: Rendered, component: str, folder: Path, *, metrics: int | None = None) -> Pod:
    """Start a role with the variables and files of its pod, its files below ``folder``, on free ports.

    ``metrics`` is the port of its metrics, if that is known already.
    """
    home = folder / component
    contents = {made["metadata"]["name"]: made["stringData"] for made in rendered.of("Secret")}
    for path, secret, key in rendered.secret_files(component):
        file = home / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(contents[secret][key])
        file.chmod(0o440)
    container = rendered.containers()[component]
    ports = {port["name"]: free_port() for port in container.get("ports", [])}
    if metrics is not None:
        ports["metrics"] = metrics
    environment = {
        name: f"{home}{value}" if value.startswith("/run/") else value
        for name, value in rendered.environment(component).items()
    }
    environment |= {"PATH": os.environ["PATH"], "HOME": str(folder)}
    environment["PARLEY_METRICS_LISTEN"] = f"127.0.0.1:{ports.get('metrics', 0)}"
    own = {port["containerPort"]: ports[port["name"]] for port in container.get("ports", [])}
    arguments = [str(own.get(int(part), part)) if part.isdigit() else part for part in container["args"]]
    log = folder / f"{component}.log"
    with log.open("wb") as output:
        child = Child.spawn(
            [sys.executable, *arguments], name=component, env=environment, output=output, cwd=folder
        )
    return Pod(container, child, log, ports)


@contextmanager
def running(rendered: Rendered, components: tuple[str, ...], folder: Path) -> Iterator[dict[str, Pod]]:
    with ExitStack() as stack:
        pods = {}
        for component in components:
            pods[component] = start(rendered, component, folder)
            stack.callback(pods[component].child.end, timeout=15.0)
        yield pods


def migrate(rendered: Rendered, folder: Path) -> None:
    """Run the migrations as their Job does."""
    migration = start(rendered, "migrations", folder)
    assert migration.exit_status(60) == 0, migration.log.read_text()


def client(gateway: Pod) -> httpx.Client:
    """A client of the administrator."""
    return httpx.Client(
        base_url=f"http://127.0.0.1:{gateway.ports['http']}",
        headers={"Authorization": f"Bearer {ADMIN_KEY}"},
        timeout=30,
    )
