"""What the chart gives a role is all that it needs: its command, its variables, its files, its probes."""

from __future__ import annotations

import base64
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.process import Child
from deploy.validation import chart
from tests.fakes.process import start_model_server
from tests.unit.deploy.kubernetes.rendered import Rendered

if not chart.available():
    pytest.skip("Helm's code is not installed: pip install 'parley[validate]'", allow_module_level=True)

ADMIN_KEY = "the-key-of-the-operator-of-this-cluster"
START_TIMEOUT = 60.0  # seconds
#: Roles that go on until they are told to stop.
SERVICES = ("gateway", "worker-chat", "worker-experiment", "maintenance", "flower")


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


def start(rendered: Rendered, component: str, folder: Path) -> Pod:
    """Start a role with the variables and files of its pod, its files below ``folder``, on free ports."""
    home = folder / component
    contents = {made["metadata"]["name"]: made["stringData"] for made in rendered.of("Secret")}
    for path, secret, key in rendered.secret_files(component):
        file = home / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(contents[secret][key])
        file.chmod(0o440)
    container = rendered.containers()[component]
    ports = {port["name"]: free_port() for port in container.get("ports", [])}
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


@pytest.fixture
def values(empty_database_url: str, redis_url: str) -> dict[str, Any]:
    """The least values, for the servers of this test."""
    return {
        "settings": {
            "namespace": "helm",
            "drain_grace": 1,
            "seed_new_users": False,
            "outbound_private": "allow",
        },
        "secrets": {
            "values": {
                "database_url": empty_database_url,
                "redis_url": redis_url,
                "secret_key": base64.urlsafe_b64encode(os.urandom(32)).decode(),
                "admin_key": ADMIN_KEY,
                "flower_password": "a-password-of-flower",
            }
        },
        "flower": {"enabled": True},
    }


def test_every_role_runs_with_what_its_pod_has(values: dict[str, Any], tmp_path: Path) -> None:
    rendered = Rendered(chart.render(values))
    migration = start(rendered, "migrations", tmp_path)
    assert migration.exit_status(60) == 0, migration.log.read_text()
    with start_model_server() as model, running(rendered, SERVICES, tmp_path) as pods:
        for pod in pods.values():
            pod.wait(pod.well)
        with httpx.Client(
            base_url=f"http://127.0.0.1:{pods['gateway'].ports['http']}",
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
            timeout=30,
        ) as http:
            settings = {"base_url": model.openai_url, "api_key": "sk-of-the-fake", "model": "fake"}
            connection = {"name": "fake", "provider": "openai", "settings": settings}
            assert http.post("/api/connections", json=connection).status_code == 201
            answer = http.post("/api/chat/send", json={"message": "hello"})
            assert answer.status_code == 200, answer.text
        told: dict[str, str] = {}
        for component in ("gateway", "worker-chat", "worker-experiment", "maintenance"):
            url = f"http://127.0.0.1:{pods[component].ports['metrics']}/metrics"
            told[component] = httpx.get(url, timeout=5).text
        # What KEDA asks for is there before the first job has waited.
        for kind in ("chat", "experiment", "query"):
            assert f'parley_queue_oldest_seconds{{kind="{kind}"}}' in told["maintenance"]
        assert 'parley_jobs_running{kind="chat"}' in told["worker-chat"]
        for pod in pods.values():
            pod.child.send(signal.SIGTERM)
        for component, pod in pods.items():
            grace = rendered.pods()[component]["spec"]["terminationGracePeriodSeconds"]
            assert pod.exit_status(grace) == 0, pod.log.read_text()


def test_a_role_that_cannot_reach_its_database_is_alive_and_not_ready(
    values: dict[str, Any], tmp_path: Path
) -> None:
    values["secrets"]["values"]["database_url"] = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    rendered = Rendered(chart.render(values))
    with running(rendered, ("worker-chat",), tmp_path) as pods:
        worker = pods["worker-chat"]
        worker.wait(lambda: worker.probe("liveness"))
        assert not worker.probe("readiness")
        assert worker.probe("liveness")
