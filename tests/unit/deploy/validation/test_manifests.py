"""Objects that Kubernetes, KEDA or the Prometheus operator would refuse are found without them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

pytest.importorskip("kubernetes_validate", reason="pip install 'parley[validate]'")
pytest.importorskip("helm_python", reason="pip install 'parley[validate]'")

from deploy.validation import chart, manifests
from deploy.validation.outcome import Status

Path = tuple[str | int, ...]


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    return chart.render(chart.read_values(chart.CHART / "ci/production.yaml"))


def broken(objects: list[dict[str, Any]], kind: str, path: Path, value: object) -> dict[str, Any]:
    made = copy.deepcopy(next(one for one in objects if one["kind"] == kind))
    place: Any = made
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return made


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", ("spec", "template", "spec", "containers"), None),
        ("Deployment", ("spec", "replica"), 3),
        ("Deployment", ("spec", "template", "spec", "containers", 0, "env"), {"A": "b"}),
        ("Service", ("spec", "ports", 0, "port"), "http"),
        ("NetworkPolicy", ("spec", "podSelectors"), {}),
        ("PodDisruptionBudget", ("spec", "selector", "labels"), {}),
        ("Job", ("spec", "backoffLimit"), "ten"),
        ("HorizontalPodAutoscaler", ("spec", "maxReplicas"), None),
        ("Ingress", ("spec", "rules", 0, "http", "paths", 0, "pathType"), None),
        ("ScaledObject", ("spec", "triggers", 0, "metadata", "serverAddress"), None),
        ("ScaledObject", ("spec", "triggers", 0, "metadata", "threshold"), 5),
        ("ScaledObject", ("spec", "scaleTarget"), {}),
        ("PodMonitor", ("spec", "podMetricsEndpoints", 0, "port"), None),
        ("PrometheusRule", ("spec", "groups", 0, "rules", 0, "expr"), None),
        ("Deployment", ("apiVersion",), "apps/v1beta1"),
        ("Deployment", ("kind",), "Deploymint"),
    ],
)
def test_a_broken_object_is_found(
    objects: list[dict[str, Any]], kind: str, path: Path, value: object
) -> None:
    assert manifests.faults_of(next(one for one in objects if one["kind"] == kind)) == []
    assert manifests.faults_of(broken(objects, kind, path, value))


def test_an_object_that_is_made_twice_is_found(objects: list[dict[str, Any]]) -> None:
    (outcome,) = manifests.check("twice", [*objects, objects[0]])
    assert outcome.status is Status.FAILED
    assert "is made twice" in outcome.details[0]
