"""An upgrade changes what was changed, and nothing is made up by the chart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from deploy.validation import chart, manifests
from tests.unit.deploy.kubernetes.rendered import Rendered

#: Functions of templates that give something else each time, or ask the cluster.
MAKING_UP = (
    "rand",
    "uuid",
    "genCA",
    "genPrivateKey",
    "genSelfSignedCert",
    "genSignedCert",
    "derivePassword",
    "htpasswd",
    "bcrypt",
    "now",
    "lookup",
)


#: A group of workers.
GROUP = {
    "kinds": ["chat"],
    "replicas": 1,
    "concurrency": 10,
    "resources": {},
    "autoscaling": {"minReplicas": 1, "maxReplicas": 2, "targetQueueAge": 1},
}


def test_an_upgrade_with_the_same_values_changes_nothing(values: dict[str, Any]) -> None:
    assert chart.render(values, upgrade=True) == chart.render(values)


def test_nothing_is_generated() -> None:
    words = {
        word
        for path in (chart.CHART / "templates").iterdir()
        for line in path.read_text().splitlines()
        if "{{" in line
        for word in line.replace("(", " ").split()
    }
    assert [word for word in words for name in MAKING_UP if word.startswith(name)] == []


def checksums(rendered: Rendered) -> dict[str, dict[str, str]]:
    return {
        component: {
            name: value
            for name, value in pod["metadata"]["annotations"].items()
            if name.startswith("checksum/")
        }
        for component, pod in rendered.pods().items()
    }


def test_a_changed_secret_restarts_those_who_see_it(least: dict[str, Any]) -> None:
    before = checksums(Rendered(chart.render(least)))
    least["secrets"]["values"]["admin_key"] = "another-key-of-the-administrator"
    after = checksums(Rendered(chart.render(least)))
    assert {component for component in before if before[component] != after[component]} == {"gateway"}


def test_a_changed_setting_restarts_everybody(least: dict[str, Any]) -> None:
    before = checksums(Rendered(chart.render(least)))
    least["settings"] = {"log_level": "DEBUG"}
    after = checksums(Rendered(chart.render(least)))
    assert all(before[component] != after[component] for component in before)


def test_the_schema_changes_before_the_processes_do_and_these_one_by_one(rendered: Rendered) -> None:
    for made in rendered.of("Deployment"):
        strategy = made["spec"]["strategy"]
        if made["metadata"]["name"].endswith("flower"):
            assert strategy == {"type": "Recreate"}
        else:
            assert strategy == {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    for job in rendered.of("Job"):
        assert "pre-upgrade" in job["metadata"]["annotations"]["helm.sh/hook"]


def test_two_releases_of_a_namespace_share_no_name(least: dict[str, Any]) -> None:
    first = Rendered(chart.render(least))
    least["fullnameOverride"] = "other"
    second = Rendered(chart.render(least))
    names = [{(made["kind"], made["metadata"]["name"]) for made in one.objects} for one in (first, second)]
    assert not names[0] & names[1]


def test_long_names_are_cut_so_that_every_name_is_one(production: dict[str, Any]) -> None:
    group = "a-group-with-a-long-na"  # as long as the chart takes
    production["workers"] = {group: GROUP}
    objects = chart.render(production, release="r" * 53)  # as long as Helm takes
    assert f"worker-{group}" in Rendered(objects).pods()
    assert max(len(made["metadata"]["name"]) for made in objects) <= 63
    assert [fault for made in objects for fault in manifests.faults_of(made)] == []


def test_a_package_of_the_chart_makes_the_same(production: dict[str, Any], tmp_path: Path) -> None:
    import helm_python

    archive = helm_python.package(str(chart.CHART), destination=str(tmp_path))
    with helm_python.Chart.load(archive) as packaged:
        files = packaged.render(production, name=chart.RELEASE, namespace=chart.NAMESPACE)
    made = [one for name, text in files.items() if name.endswith(".yaml") for one in yaml.safe_load_all(text)]
    objects = [one for one in made if one]
    assert sorted(map(str, objects)) == sorted(map(str, chart.render(production)))
    assert next(one for one in objects if one["kind"] == "PrometheusRule")["spec"]["groups"]
