"""The chart starts the very commands that compose and `parley up` start."""

from __future__ import annotations

from typing import Any

from deploy import roles
from deploy.validation import chart
from tests.unit.deploy.kubernetes.rendered import Rendered

#: Roles whose component has another name than their service in compose.
NAMES = {"migrate": "migrations"}


def arguments(role: roles.Role) -> list[str]:
    return role.command("python")[1:]


def test_each_role_runs_the_command_of_its_service(least: dict[str, Any]) -> None:
    least["flower"] = {"enabled": True}
    least["secrets"]["values"]["flower_password"] = "a long one"
    containers = Rendered(chart.render(least)).containers()
    services = {NAMES.get(name, name): role for name, role in roles.services().items()}
    assert {name: container["args"] for name, container in containers.items()} == {
        name: arguments(role) for name, role in services.items()
    }
    assert {tuple(container["command"]) for container in containers.values()} == {("python",)}


def test_a_group_of_workers_takes_its_kinds_and_slots_on_the_queues_of_the_namespace(
    least: dict[str, Any],
) -> None:
    least["settings"] = {"namespace": "blue"}
    least["workers"] = {
        "bulk": {
            "kinds": ["experiment", "query"],
            "replicas": 3,
            "concurrency": 40,
            "resources": {},
            "autoscaling": {"minReplicas": 1, "maxReplicas": 2, "targetQueueAge": 1},
        }
    }
    containers = Rendered(chart.render(least)).containers()
    assert containers["worker-bulk"]["args"] == arguments(
        roles.worker(name="worker-bulk", concurrency=40, kinds=("experiment", "query"), namespace="blue")
    )
    assert {"worker-chat", "worker-experiment"} < set(containers)


def test_ports_are_those_that_the_commands_listen_on(production: dict[str, Any]) -> None:
    containers = Rendered(chart.render(production)).containers()
    ports = {
        name: {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        for name, container in containers.items()
    }
    assert ports["gateway"] == {"http": roles.GATEWAY_PORT, "metrics": 9464}
    assert ports["flower"] == {"http": roles.FLOWER_PORT}
    assert ports["worker-chat"] == ports["worker-experiment"] == ports["maintenance"] == {"metrics": 9464}
    assert ports["migrations"] == {}
