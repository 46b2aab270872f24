"""The command of each role that Parley's own code plays, the same on one machine and in containers."""

from __future__ import annotations

import sys
from dataclasses import dataclass

#: Kinds of job that a worker serves unless told otherwise; each has a queue of its own.
KINDS = ("chat", "experiment", "query")
#: What the names of queues begin with, unless ``PARLEY_NAMESPACE`` says otherwise.
NAMESPACE = "parley"
#: Jobs that one worker process runs at once.
CONCURRENCY = 500


#: Port of the gateway, and of Flower, where nobody says otherwise.
GATEWAY_PORT = 8642
FLOWER_PORT = 5555


@dataclass(frozen=True)
class Role:
    """A process of Parley: what follows ``python`` on its command line.

    Attributes:
        module: what ``python -m`` runs.
        arguments: what stands behind it.
    """

    module: str
    arguments: tuple[str, ...] = ()

    def command(self, python: str = sys.executable) -> list[str]:
        """The whole command line."""
        return [python, "-m", self.module, *self.arguments]


def migration() -> Role:
    """Brings the database to the newest schema, and ends."""
    return Role("shared.database.migrate")


def gateway(*, host: str = "0.0.0.0", port: int = GATEWAY_PORT, descriptor: int | None = None) -> Role:  # noqa: S104
    """The HTTP edge, on an address of its own or on a socket that is handed over."""
    if descriptor is not None:
        return Role("gateway", ("--fd", str(descriptor)))
    return Role("gateway", ("--host", host, "--port", str(port)))


def worker(
    *,
    name: str = "worker",
    concurrency: int = CONCURRENCY,
    kinds: tuple[str, ...] = KINDS,
    namespace: str = NAMESPACE,
) -> Role:
    """One Celery process with one event loop; start one for each core."""
    return Role(
        "celery",
        (
            *("-A", "workers.app", "worker"),
            *("-P", "threads", "-c", str(concurrency)),
            *("-Q", ",".join(f"{namespace}.{kind}" for kind in kinds)),
            *("-n", f"{name}@%h"),
            *("--loglevel", "INFO", "--without-gossip", "--without-mingle"),
        ),
    )


def maintenance() -> Role:
    """Reaper and sweep without jobs: what workers do beside theirs, for when all of them are gone."""
    return Role("workers.maintenance")


def flower(*, host: str = "0.0.0.0", port: int = FLOWER_PORT, descriptor: int | None = None) -> Role:  # noqa: S104
    """Flower on the broker of the workers, behind a password."""
    if descriptor is not None:
        return Role("deploy.flower", ("--fd", str(descriptor)))
    return Role("deploy.flower", ("--host", host, "--port", str(port)))


def services(*, namespace: str = NAMESPACE) -> dict[str, Role]:
    """The roles of an installation of several machines or containers, by the name of their service."""
    return {
        "migrate": migration(),
        "gateway": gateway(),
        "worker-chat": worker(name="worker-chat", kinds=("chat", "query"), namespace=namespace),
        "worker-experiment": worker(name="worker-experiment", kinds=("experiment",), namespace=namespace),
        "maintenance": maintenance(),
        "flower": flower(),
    }
