"""The command lines of Parley's own processes, which containers use as well."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import pytest

from deploy import roles
from deploy.local.options import StackOptions
from deploy.local.process import Child
from deploy.local.stack import build, migration_command


def test_the_gateway_serves_an_address_or_an_inherited_socket() -> None:
    assert roles.gateway(host="::", port=80).command("python") == [
        *("python", "-m", "gateway", "--host", "::", "--port", "80")
    ]
    assert roles.gateway(descriptor=7).command("python") == ["python", "-m", "gateway", "--fd", "7"]


def test_a_worker_is_celery_with_threads_on_the_queues_of_its_namespace() -> None:
    command = roles.worker(name="w", concurrency=9, kinds=("chat", "query"), namespace="blue").command(
        "python"
    )
    assert command[:5] == ["python", "-m", "celery", "-A", "workers.app"]
    assert command[command.index("-P") + 1] == "threads"
    assert command[command.index("-c") + 1] == "9"
    assert command[command.index("-Q") + 1] == "blue.chat,blue.query"
    assert command[command.index("-n") + 1] == "w@%h"


def test_the_queues_are_those_that_wake_ups_go_to() -> None:
    from shared.jobs.states import JobKind
    from shared.jobs.wakeups import queue_name
    from shared.settings import Settings

    settings = Settings()
    assert settings.namespace == roles.NAMESPACE
    queues = roles.worker().arguments[roles.worker().arguments.index("-Q") + 1].split(",")
    assert queues == [queue_name(settings, kind) for kind in JobKind]


def test_every_service_has_a_role_that_runs_what_there_is() -> None:
    services = roles.services()
    assert set(services) == {
        *("migrate", "gateway", "worker-chat", "worker-experiment"),
        *("maintenance", "flower"),
    }
    for role in services.values():
        assert importlib.util.find_spec(role.module) is not None, role.module


def test_parley_up_starts_the_same_roles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that differs is where a process listens, what it is called and which queues it takes."""
    spawned: list[list[str]] = []

    def spawn(command: list[str], **_: object) -> None:
        spawned.append(command)

    monkeypatch.setattr(Child, "spawn", spawn)
    options = StackOptions(data_dir=tmp_path, port=0, workers=2, local_model=False)
    elsewhere = {"PARLEY_DATABASE_URL": "postgresql+psycopg://db/parley", "PARLEY_REDIS_URL": "redis://redis"}
    stack = build(options, elsewhere)
    try:
        for part in stack.services:
            part.spawn(io.BytesIO())
    finally:
        stack.close()
    services = roles.services()
    assert [_common(command) for command in spawned[:1]] == [_common(services["gateway"].command())]
    assert [_common(command) for command in spawned[1:]] == [_common(services["worker-chat"].command())] * 2
    assert migration_command() == services["migrate"].command()


def _common(command: list[str]) -> list[str]:
    """A command without what is of one process."""
    own = ("--host", "--port", "--fd", "-n", "-Q")
    pairs = zip(["", *command], command, strict=False)
    return [word for before, word in pairs if word not in own and before not in own]
