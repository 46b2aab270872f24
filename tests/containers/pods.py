"""The chart's pods, played by podman: nearest to a cluster that an engine comes.

What podman plays is what the chart renders, but for what this podman does not know: a Secret arrives as a
ConfigMap, an owner (Deployment, Job) as its pod, probes are asked by the test, and volumes, which it tells
apart by their names over all pods, are named after their role.
"""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.unit.deploy.kubernetes.rendered import Rendered

#: What only a scheduler reads, or what the test does itself.
_LEFT_OUT = ("topologySpreadConstraints", "serviceAccountName")
_PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
_TIMEOUT = 180.0  # seconds


def pod_of(component: str) -> str:
    """The name of a role's pod: no other container of the networks is called so."""
    return f"of-chart-{component}"


def container_of(component: str) -> str:
    """The name of its container."""
    return f"{pod_of(component)}-{component}"


def available(environment: dict[str, str]) -> bool:
    """Whether the engine behind ``DOCKER_HOST`` is a podman that its own client reaches."""
    url = environment.get("DOCKER_HOST", "")
    if not url.startswith("unix://") or shutil.which("podman") is None:
        return False
    return Player(url, Path()).podman("version", check=False).returncode == 0


@dataclass(frozen=True)
class Player:
    """Podman's service at ``url``; files are written to ``folder``."""

    url: str
    folder: Path

    def podman(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a podman command in the service."""
        done = subprocess.run(
            ["podman", "--url", self.url, *arguments],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        assert not (check and done.returncode), (
            f"podman {arguments}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        )
        return done

    @contextmanager
    def playing(
        self, rendered: Rendered, components: tuple[str, ...], networks: list[str], published: dict[str, int]
    ) -> Iterator[None]:
        """Play the pods of ``components``; ``published`` has the port of the host for a role's ``http``."""
        file = self.folder / f"{'-'.join(components)}.yaml"
        file.write_text(yaml.safe_dump_all(manifest(rendered, components, published)))
        try:
            self.podman("kube", "play", *(f"--network={name}" for name in networks), str(file))
            yield
        finally:
            for component in components:
                self.podman("pod", "rm", "--force", "--time=2", pod_of(component), check=False)

    def exec(self, component: str, *command: str) -> str:
        """What a command says inside a role's container."""
        return self.podman("exec", container_of(component), *command).stdout

    def healthy(self, component: str, url: str) -> bool:
        """Whether a probe from inside the role's container passes."""
        command = ("exec", container_of(component), "python", "-m", "deploy.probe", url)
        return self.podman(*command, check=False).returncode == 0

    def logs(self, component: str) -> str:
        """The end of a role's log."""
        done = self.podman("logs", "--tail=60", container_of(component), check=False)
        return done.stdout + done.stderr

    def wait_exit(self, component: str) -> int:
        """The exit status of a role's container, when it has ended."""
        return int(self.podman("wait", container_of(component)).stdout.strip())

    def inspect(self, component: str) -> dict[str, Any]:
        """What the engine says of a role's container."""
        (told,) = json.loads(self.podman("container", "inspect", container_of(component)).stdout)
        return dict(told)


def manifest(
    rendered: Rendered, components: tuple[str, ...], published: dict[str, int]
) -> list[dict[str, Any]]:
    """What podman is given."""
    secrets = [
        _config_map(f"{made['metadata']['name']}-secret", made["stringData"])
        for made in rendered.of("Secret")
    ]
    return [
        *secrets,
        *(_config_map(made["metadata"]["name"], made["data"]) for made in rendered.of("ConfigMap")),
        *(_pod(rendered, component, published.get(component)) for component in components),
    ]


def _config_map(name: str, data: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _pod(rendered: Rendered, component: str, port: int | None) -> dict[str, Any]:
    template = copy.deepcopy(rendered.pods()[component])
    spec = template["spec"]
    (container,) = spec["containers"]
    for name in _LEFT_OUT:
        spec.pop(name, None)
    for name in _PROBES:
        container.pop(name, None)
    if port is None:
        container.pop("ports", None)
    else:
        (http,) = (one for one in container["ports"] if one["name"] == "http")
        container["ports"] = [{**http, "hostIP": "127.0.0.1", "hostPort": port}]
    for volume in spec["volumes"]:
        if secret := volume.pop("secret", None):
            volume["configMap"] = {"name": f"{secret['secretName']}-secret", "items": secret["items"]}
        else:
            volume["emptyDir"] = {}
    for named in (*spec["volumes"], *container["volumeMounts"]):
        named["name"] = f"{component}-{named['name']}"
    labels = template["metadata"]["labels"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod_of(component), "labels": labels},
        "spec": spec,
    }


def patiently_healthy(player: Player, component: str, url: str, seconds: float = 90.0) -> None:
    """Wait until a probe passes."""
    deadline = time.monotonic() + seconds
    while not player.healthy(component, url):
        assert time.monotonic() < deadline, f"{component} is not well:\n{player.logs(component)}"
        time.sleep(0.5)
