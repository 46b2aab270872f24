"""The container engine that the tests run on: a Docker that answers, else a podman of our own."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.containers import podman


class NoEngineError(Exception):
    """No engine can be had here; the message says why."""


@dataclass(frozen=True)
class Engine:
    """An engine that answers.

    Attributes:
        name: what it is, for whoever reads the report.
        environment: what a client of Docker's interface needs in its environment.
        own: the podman that was started for these tests; None where Docker answers, whose images are pulled.
    """

    name: str
    environment: dict[str, str] = field(default_factory=dict)
    own: podman.Podman | None = None


def _docker() -> str | None:
    """The version of the Docker that answers, or None."""
    import docker  # type: ignore[import-untyped]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of sockets that a failing client forgets
        try:
            client = docker.from_env(timeout=10)
            version = str(client.version()["Version"])
            client.close()
        except Exception:  # whatever the client library raises: there is no Docker
            version = ""
        gc.collect()
    return version or None


@contextlib.contextmanager
def running(choice: str, directory: Path, *, keep: bool, step: Callable[[str], None]) -> Iterator[Engine]:
    """The engine of ``choice``: ``auto``, ``docker`` or ``podman``.

    Args:
        choice: ``auto`` takes Docker where it answers, else podman.
        directory: where podman keeps everything.
        keep: whether its images stay for the next run.
        step: told what is done next.

    Raises:
        NoEngineError: there is none, and why.
    """
    why = "DOCKER_HOST and the default socket were tried"
    if choice in ("auto", "docker"):
        version = _docker()
        if version:
            yield Engine(f"Docker {version}", dict(os.environ))
            return
        if choice == "docker":
            raise NoEngineError(f"no Docker answers ({why})")
    refused = podman.why_not()
    if refused:
        raise NoEngineError(f"no Docker answers ({why}), and podman cannot be used: {refused}")
    step("engine: packages")
    try:
        podman.install()
    except subprocess.CalledProcessError as error:
        raise NoEngineError(
            f"no Docker answers ({why}), and podman cannot be installed: {error.cmd} exits {error.returncode}"
        ) from error
    step("engine: podman's service")
    own = podman.Podman(directory)
    own.configure()
    version = own.run("version", "--format", "{{.Client.Version}}").stdout.strip()
    with own.service():
        try:
            yield Engine(
                f"podman {version} behind Docker's interface",
                {
                    **os.environ,
                    "DOCKER_HOST": f"unix://{own.socket}",
                    # Its own builder is not there: the engine builds.
                    "DOCKER_BUILDKIT": "0",
                    "COMPOSE_DOCKER_CLI_BUILD": "0",
                },
                own,
            )
        finally:
            own.remove(images=not keep)
