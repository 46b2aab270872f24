"""The command lines of Parley's own processes, which containers use as well."""

from __future__ import annotations

from deploy import roles


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
