"""Workers follow the age of their queues, gateways their CPU; budgets leave somebody to serve."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from deploy.validation import chart, dashboards, monitoring
from shared.metrics import cluster, jobs, registry
from tests.unit.deploy.kubernetes.rendered import Rendered


def test_without_autoscaling_the_numbers_are_those_of_the_values(least: dict[str, Any]) -> None:
    rendered = Rendered(chart.render(least))
    assert {made["metadata"]["name"]: made["spec"]["replicas"] for made in rendered.of("Deployment")} == {
        "demo-parley-gateway": 2,
        "demo-parley-worker-chat": 2,
        "demo-parley-worker-experiment": 1,
        "demo-parley-maintenance": 1,
    }
    assert rendered.of("ScaledObject") == rendered.of("HorizontalPodAutoscaler") == []


def test_what_scales_has_no_number_that_an_upgrade_would_set_again(production: dict[str, Any]) -> None:
    rendered = Rendered(chart.render(production))
    scaled = {made["spec"]["scaleTargetRef"]["name"] for made in rendered.of("ScaledObject")}
    scaled |= {made["spec"]["scaleTargetRef"]["name"] for made in rendered.of("HorizontalPodAutoscaler")}
    assert scaled == {"demo-parley-gateway", "demo-parley-worker-chat", "demo-parley-worker-experiment"}
    for made in rendered.of("Deployment"):
        assert ("replicas" in made["spec"]) is (made["metadata"]["name"] not in scaled)


def test_each_group_asks_for_the_age_of_its_own_queues(production: dict[str, Any]) -> None:
    production["workers"] = {"chat": {"autoscaling": {"targetQueueAge": 2.5}, "concurrency": 301}}
    rendered = Rendered(chart.render(production))
    age, running = rendered.named("ScaledObject", "demo-parley-worker-chat")["spec"]["triggers"]
    assert age["metadata"]["query"] == 'max(parley_queue_oldest_seconds{kind=~"chat|query",namespace="prod"})'
    assert age["metadata"]["threshold"] == "2.5"
    assert age["metadata"]["ignoreNullValues"] == "false"
    assert running["metadata"]["query"] == 'sum(parley_jobs_running{kind=~"chat|query",namespace="prod"})'
    assert running["metadata"]["threshold"] == "211"  # 0.7 of 301 slots, rounded up
    age, _ = rendered.named("ScaledObject", "demo-parley-worker-experiment")["spec"]["triggers"]
    assert 'kind=~"experiment"' in age["metadata"]["query"]
    # KEDA falls back on a number of processes only for metrics that are shared out over the processes.
    for made in rendered.of("ScaledObject"):
        assert {trigger["metricType"] for trigger in made["spec"]["triggers"]} == {"AverageValue"}


def test_somebody_always_works_and_a_silent_prometheus_changes_little(production: dict[str, Any]) -> None:
    del production["keda"]["fallbackReplicas"]
    rendered = Rendered(chart.render(production))
    for made in rendered.of("ScaledObject"):
        assert made["spec"]["minReplicaCount"] >= 1
    replicas = {
        made["metadata"]["name"]: made["spec"]["fallback"]["replicas"] for made in rendered.of("ScaledObject")
    }
    assert replicas == {"demo-parley-worker-chat": 2, "demo-parley-worker-experiment": 1}


def test_other_labels_can_select_the_metrics(production: dict[str, Any]) -> None:
    for matchers, told in (('job="{{ .Release.Name }}"', ',job="demo"'), ("", "")):
        production["keda"]["prometheus"]["matchers"] = matchers
        made = Rendered(chart.render(production)).named("ScaledObject", "demo-parley-worker-experiment")
        query = made["spec"]["triggers"][0]["metadata"]["query"]
        assert query == f'max(parley_queue_oldest_seconds{{kind=~"experiment"{told}}})'


def test_prometheus_is_asked_for_metrics_that_there_are(production: dict[str, Any]) -> None:
    asked = {
        name
        for made in Rendered(chart.render(production)).of("ScaledObject")
        for trigger in made["spec"]["triggers"]
        for name in re.findall(r"parley_\w+", trigger["metadata"]["query"])
    }
    assert asked == {"parley_queue_oldest_seconds", "parley_jobs_running"}
    jobs.RUNNING.labels("chat")
    assert asked <= {cluster.OLDEST, *(metric.name for metric in registry.REGISTRY.collect())}


def test_emptied_nodes_leave_somebody_of_each_kind(production: dict[str, Any]) -> None:
    rendered = Rendered(chart.render(production))
    budgets = {made["metadata"]["name"]: made["spec"] for made in rendered.of("PodDisruptionBudget")}
    assert set(budgets) == {
        f"demo-parley-{name}" for name in ("gateway", "maintenance", "worker-chat", "worker-experiment")
    }
    assert {budget["maxUnavailable"] for budget in budgets.values()} == {1}


def test_pods_are_spread_over_nodes_and_zones(rendered: Rendered) -> None:
    for pod in rendered.pods().values():
        spread = {one["topologyKey"]: one for one in pod["spec"]["topologySpreadConstraints"]}
        assert set(spread) == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
        for one in spread.values():
            assert one["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


def test_rules_and_dashboard_are_those_of_the_monitoring_folder(production: dict[str, Any]) -> None:
    rendered = Rendered(chart.render(production))
    (rules,) = rendered.of("PrometheusRule")
    assert rules["spec"] == yaml.safe_load((monitoring.MONITORING / "rules/parley.rules.yaml").read_text())
    dashboard = rendered.named("ConfigMap", "demo-parley-dashboard")
    assert json.loads(dashboard["data"]["parley.json"]) == json.loads(
        (dashboards.FOLDER / "parley.json").read_text()
    )
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_the_operator_finds_every_process_by_the_name_that_the_alerts_have(
    production: dict[str, Any],
) -> None:
    rendered = Rendered(chart.render(production))
    (monitor,) = rendered.of("PodMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    selected = {
        name
        for name, pod in rendered.pods().items()
        if monitor["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        and "metrics" in {port["name"] for port in pod["spec"]["containers"][0].get("ports", [])}
    }
    assert selected == {"gateway", "worker-chat", "worker-experiment", "maintenance"}
    job = {pod["metadata"]["labels"][monitor["spec"]["jobLabel"]] for pod in rendered.pods().values()}
    assert job == {"parley"}
