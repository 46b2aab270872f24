"""The network policies let through every path that the README names, and no other."""

from __future__ import annotations

import re
from typing import Any

import pytest

from deploy.validation import chart
from tests.unit.deploy.kubernetes.policies import Endpoint, allows
from tests.unit.deploy.kubernetes.rendered import Rendered

HOME = chart.NAMESPACE
WORKERS = ("worker-chat", "worker-experiment")
GROUPS = {"workers": WORKERS, "all roles": ("gateway", *WORKERS, "maintenance", "migrations", "flower")}

#: What is outside of Parley, under the name that the README has for it, and a port of it.
OUTSIDE = {
    "DNS": (Endpoint("kube-system", {"k8s-app": "kube-dns"}), 53),
    "Postgres": (Endpoint(address="10.20.0.5"), 5432),
    "Redis": (Endpoint("data", {"app": "redis"}), 6379),
    "RabbitMQ": (Endpoint("data", {"app": "rabbitmq"}), 5672),
    "RabbitMQ's management": (Endpoint("data", {"app": "rabbitmq"}), 15671),
    "traces": (Endpoint("monitoring", {"app": "collector"}), 4318),
    "providers": (Endpoint(address="203.0.113.7"), 443),
}
#: What nobody has business with.
FOREIGN = {
    "metadata of the cloud": (Endpoint(address="169.254.169.254"), 80),
    "metadata of the cloud, by TLS": (Endpoint(address="169.254.169.254"), 443),
    "the cluster's own interface": (Endpoint(address="10.96.0.1"), 443),
    "another team's service": (Endpoint("shop", {"app": "shop"}, address="10.1.2.3"), 8080),
    "the internet by HTTP": (Endpoint(address="203.0.113.7"), 80),
    "mail": (Endpoint(address="203.0.113.7"), 25),
    "a private address in IPv6": (Endpoint(address="fd00::1"), 443),
    "Postgres's port at DNS by UDP": (Endpoint("shop"), 53),
}
CLIENT = Endpoint("ingress", {"app": "nginx"})
STRANGER = Endpoint("shop", {"app": "shop"})
PROMETHEUS = Endpoint("monitoring", {"app": "prometheus"})


def pods(rendered: Rendered) -> dict[str, Endpoint]:
    return {
        component: Endpoint(
            HOME,
            pod["metadata"]["labels"],
            "10.1.0.9",
            {
                port["name"]: port["containerPort"]
                for container in pod["spec"]["containers"]
                for port in container.get("ports", [])
            },
        )
        for component, pod in rendered.pods().items()
    }


def documented() -> set[tuple[str, str, int]]:
    """The paths out of pods by the README: who, where to, which port."""
    text = (chart.CHART / "README.md").read_text()
    (part,) = re.findall(r"<!-- paths: begin -->(.*)<!-- paths: end -->", text, re.DOTALL)
    found = set()
    for row in part.strip().splitlines()[2:]:
        sources, target, port, _ = (cell.strip() for cell in row.strip("|").split("|"))
        if target in OUTSIDE:
            for source in sources.split(", "):
                found |= {(one, target, int(port)) for one in GROUPS.get(source, (source,))}
    return found


@pytest.fixture
def everything(least: dict[str, Any]) -> dict[str, Any]:
    """All paths in use, with the default policies."""
    least["secrets"]["values"] |= {
        "broker_url": "amqp://rabbitmq/",
        "flower_password": "a long one",
        "flower_broker_api": "https://rabbitmq:15671",
    }
    least["settings"] = {"tracing": "otlp"}
    least["flower"] = {"enabled": True}
    return least


def test_pods_reach_what_the_readme_says_and_nothing_else(everything: dict[str, Any]) -> None:
    rendered = Rendered(chart.render(everything))
    policies = rendered.of("NetworkPolicy")
    reached = {
        (component, name, port)
        for component, pod in pods(rendered).items()
        for name, (target, port) in (OUTSIDE | FOREIGN).items()
        if allows(policies, HOME, pod, target, port)
    }
    assert reached == documented()


def test_names_are_looked_up_by_udp_too(everything: dict[str, Any]) -> None:
    rendered = Rendered(chart.render(everything))
    target, port = OUTSIDE["DNS"]
    for pod in pods(rendered).values():
        assert allows(rendered.of("NetworkPolicy"), HOME, pod, target, port, "UDP")


def test_roles_do_not_speak_with_one_another(everything: dict[str, Any]) -> None:
    rendered = Rendered(chart.render(everything))
    roles = pods(rendered)
    for source in roles.values():
        for target in roles.values():
            for port in {8642, 9464, 5555, 443}:
                assert not allows(rendered.of("NetworkPolicy"), HOME, source, target, port)


@pytest.mark.parametrize("values", ["default", "production"])
def test_who_comes_in(everything: dict[str, Any], production: dict[str, Any], values: str) -> None:
    rendered = Rendered(chart.render(everything if values == "default" else production))
    policies, roles = rendered.of("NetworkPolicy"), pods(rendered)
    came = {
        (who, component, port)
        for who, source in {
            "client": CLIENT,
            "stranger": STRANGER,
            "prometheus": PROMETHEUS,
            "proxy": Endpoint(HOME, {"app": "proxy"}),
        }.items()
        for component, pod in roles.items()
        for port in {*pod.ports.values(), 22}
        if allows(policies, HOME, source, pod, port)
    }
    metrics = {("prometheus", name, 9464) for name in ("gateway", *WORKERS, "maintenance")}
    everybody = {(who, "gateway", 8642) for who in ("client", "stranger", "prometheus", "proxy")}
    if values == "default":
        assert came == metrics | everybody
    else:
        assert came == metrics | {("client", "gateway", 8642), ("proxy", "flower", 5555)}


def test_servers_that_are_named_are_the_only_ones_on_their_ports(production: dict[str, Any]) -> None:
    rendered = Rendered(chart.render(production))
    policies, worker = rendered.of("NetworkPolicy"), pods(rendered)["worker-chat"]
    redis = Endpoint("data", {"app": "redis"})
    ollama = Endpoint("models", {"app": "ollama"})
    assert allows(policies, HOME, worker, Endpoint(address="10.20.3.4"), 6432)
    assert not allows(policies, HOME, worker, Endpoint(address="10.21.3.4"), 5432)
    assert allows(policies, HOME, worker, redis, 26379)
    assert not allows(policies, HOME, worker, Endpoint("data", {"app": "other"}), 6379)
    assert allows(policies, HOME, worker, ollama, 11434)
    assert not allows(policies, HOME, pods(rendered)["gateway"], ollama, 11434)
    assert not allows(policies, HOME, worker, Endpoint("models", {"app": "other"}), 11434)


def test_without_a_broker_or_traces_their_ports_are_closed(least: dict[str, Any]) -> None:
    rendered = Rendered(chart.render(least))
    for name in ("RabbitMQ", "traces"):
        target, port = OUTSIDE[name]
        assert not allows(rendered.of("NetworkPolicy"), HOME, pods(rendered)["gateway"], target, port)


def test_without_its_address_the_management_interface_is_closed_to_flower_too(
    everything: dict[str, Any],
) -> None:
    del everything["secrets"]["values"]["flower_broker_api"]
    rendered = Rendered(chart.render(everything))
    rabbit, _ = OUTSIDE["RabbitMQ"]
    flower = pods(rendered)["flower"]
    assert allows(rendered.of("NetworkPolicy"), HOME, flower, rabbit, 5672)
    assert not allows(rendered.of("NetworkPolicy"), HOME, flower, rabbit, 15671)
    assert not allows(rendered.of("NetworkPolicy"), HOME, flower, rabbit, 15672)


def test_policies_can_be_left_to_the_operator(least: dict[str, Any]) -> None:
    least["networkPolicy"] = {"enabled": False}
    assert Rendered(chart.render(least)).of("NetworkPolicy") == []
