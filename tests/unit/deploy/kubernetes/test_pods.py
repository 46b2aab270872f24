"""Every pod keeps the `restricted` standard, ends in time, and is found by what looks for it."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.validation import chart
from tests.unit.deploy.kubernetes.rendered import COMPONENT, Object, Rendered, is_hook

#: Volumes that the standard allows.
VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def breaches(pod: Object) -> list[str]:
    """What of the `restricted` Pod Security Standard a pod does not keep, and what Parley asks beyond it."""
    spec = pod["spec"]
    found = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    context = spec.get("securityContext", {})
    for container in spec["containers"] + spec.get("initContainers", []):
        own = {**context, **container.get("securityContext", {})}
        allowed = (
            ("runs as root", own.get("runAsNonRoot") is True and own.get("runAsUser", 0) > 0),
            ("seccomp", own.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost")),
            ("new privileges", own.get("allowPrivilegeEscalation") is False),
            ("privileged", not own.get("privileged")),
            ("capabilities", own.get("capabilities") == {"drop": ["ALL"]}),
            ("writable root", own.get("readOnlyRootFilesystem") is True),
            ("host port", not any("hostPort" in port for port in container.get("ports", []))),
            ("no memory limit or request", _measured(container.get("resources", {}))),
        )
        found += [name for name, kept in allowed if not kept]
    for volume in spec.get("volumes", []):
        (kind,) = set(volume) - {"name"}
        found += [] if kind in VOLUMES else [f"volume {kind}"]
    if spec.get("automountServiceAccountToken") is not False:
        found.append("token of the cluster")
    return found


def _measured(resources: Object) -> bool:
    return "memory" in resources.get("requests", {}) and "cpu" in resources.get("requests", {})


def test_every_pod_is_restricted(rendered: Rendered) -> None:
    assert {component: breaches(pod) for component, pod in rendered.pods().items()} == {
        component: [] for component in rendered.pods()
    }


@pytest.mark.parametrize(
    ("path", "value", "breach"),
    [
        (("spec", "hostNetwork"), True, "hostNetwork"),
        (("spec", "securityContext", "runAsUser"), 0, "runs as root"),
        (("spec", "securityContext", "seccompProfile"), {"type": "Unconfined"}, "seccomp"),
        (("spec", "automountServiceAccountToken"), True, "token of the cluster"),
        (("spec", "volumes"), [{"name": "x", "hostPath": {"path": "/"}}], "volume hostPath"),
    ],
)
def test_a_pod_that_is_not_restricted_is_found(
    least: dict[str, Any], path: tuple[str, ...], value: object, breach: str
) -> None:
    pod = Rendered(chart.render(least)).pods()["gateway"]
    place = pod
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert breach in breaches(pod)


def test_a_worker_is_given_longer_than_its_turns(rendered: Rendered, values: dict[str, Any]) -> None:
    grace = values.get("settings", {}).get("drain_grace", 10)
    pods = {name: pod for name, pod in rendered.pods().items() if name.startswith("worker-")}
    assert pods
    for pod in pods.values():
        assert pod["spec"]["terminationGracePeriodSeconds"] >= grace + 20


def test_a_gateway_goes_on_serving_while_load_balancers_learn_that_it_goes(rendered: Rendered) -> None:
    container = rendered.containers()["gateway"]
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "5"]
    assert rendered.pods()["gateway"]["spec"]["terminationGracePeriodSeconds"] > 5 + 20


def test_every_role_that_runs_on_is_probed_at_a_port_that_it_has(rendered: Rendered) -> None:
    for component, container in rendered.containers().items():
        if component == "migrations":
            continue
        ports = {port["name"] for port in container["ports"]}
        probes = {name: probe for name, probe in container.items() if name.endswith("Probe")}
        assert {"startupProbe", "livenessProbe"} <= set(probes), component
        assert {probe["httpGet"]["port"] for probe in probes.values()} <= ports
        # That a server is away is no reason to be killed: liveness asks for no dependency.
        assert probes["livenessProbe"]["httpGet"]["path"] in ("/health/live", "/healthcheck")


def test_redis_that_is_away_takes_no_gateway_out_of_the_service(rendered: Rendered) -> None:
    """Turns are accepted without it. Workers do nothing without it, and are in no Service."""
    asked = {
        component: container["readinessProbe"]["httpGet"]["path"]
        for component, container in rendered.containers().items()
        if "/health/ready" in container.get("readinessProbe", {}).get("httpGet", {}).get("path", "")
    }
    assert asked.pop("gateway") == "/health/ready?exclude=redis"
    assert {"maintenance"} < set(asked)
    assert set(asked.values()) == {"/health/ready"}


def test_only_own_folders_are_written_to(rendered: Rendered) -> None:
    for component, pod in rendered.pods().items():
        (container,) = pod["spec"]["containers"]
        writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
        assert writable == ["/tmp"], component
        assert rendered.environment(component)["HOME"] == "/tmp"
        (volume,) = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "tmp"]
        assert "sizeLimit" in volume["emptyDir"]


def test_each_selector_finds_exactly_its_pods(rendered: Rendered) -> None:
    labels = {component: pod["metadata"]["labels"] for component, pod in rendered.pods().items()}
    selectors = [
        *((made, made["spec"]["selector"]["matchLabels"]) for made in rendered.of("Deployment")),
        *((made, made["spec"]["selector"]["matchLabels"]) for made in rendered.of("PodDisruptionBudget")),
        *((made, made["spec"]["selector"]) for made in rendered.of("Service")),
    ]
    for made, selector in selectors:
        found = [component for component, own in labels.items() if selector.items() <= own.items()]
        assert found == [made["metadata"]["labels"][COMPONENT]], made["metadata"]["name"]


def test_services_lead_to_ports_that_there_are(rendered: Rendered) -> None:
    for service in rendered.of("Service"):
        component = service["metadata"]["labels"][COMPONENT]
        ports = {port["name"] for port in rendered.containers()[component]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    published = [made for made in rendered.of("Service") if made["spec"]["type"] != "ClusterIP"]
    assert published == []


def test_each_account_is_one_that_is_made(rendered: Rendered) -> None:
    made = {account["metadata"]["name"]: account for account in rendered.of("ServiceAccount")}
    for pod in rendered.pods().values():
        assert pod["spec"]["serviceAccountName"] in {*made, "default"}
    assert all(account["automountServiceAccountToken"] is False for account in made.values())


def test_nothing_asks_for_rights_in_the_cluster(rendered: Rendered) -> None:
    rights = {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
    assert not rights & {made["kind"] for made in rendered.objects}


def test_what_the_migrations_need_comes_before_them(least: dict[str, Any]) -> None:
    rendered = Rendered(chart.render(least))
    hooks = {(made["kind"], made["metadata"]["name"]): made for made in rendered.objects if is_hook(made)}
    (job,) = rendered.of("Job")
    pod = job["spec"]["template"]["spec"]
    needed = {
        ("ServiceAccount", pod["serviceAccountName"]),
        *(("Secret", secret) for _, secret, _ in rendered.secret_files("migrations")),
        ("NetworkPolicy", job["metadata"]["name"]),
    }
    weights = {
        key: int(made["metadata"]["annotations"]["helm.sh/hook-weight"]) for key, made in hooks.items()
    }
    assert set(hooks) == needed | {("Job", job["metadata"]["name"])}
    assert max(weights[key] for key in needed) < weights["Job", job["metadata"]["name"]]
    for hook in hooks.values():
        annotations = hook["metadata"]["annotations"]
        assert set(annotations["helm.sh/hook"].split(",")) == {"pre-install", "pre-upgrade"}
        assert "hook-succeeded" in annotations["helm.sh/hook-delete-policy"]
    assert "envFrom" not in rendered.containers()["migrations"]


def test_the_migrations_use_an_account_of_the_operator_where_the_chart_makes_none(
    least: dict[str, Any],
) -> None:
    least["serviceAccount"] = {"create": False, "name": "mine"}
    rendered = Rendered(chart.render(least))
    assert {pod["spec"]["serviceAccountName"] for pod in rendered.pods().values()} == {"mine"}
    assert rendered.of("ServiceAccount") == []
