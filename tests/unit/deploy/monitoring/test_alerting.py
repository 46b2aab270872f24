"""Alerts reach somebody once an Alertmanager is switched on: its files fit rules, Prometheus and compose."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.deploy.monitoring.promql import CONFIG, MONITORING, ROOT, alerts

ALERTMANAGER = MONITORING / "alertmanager.yaml"
BESIDE = ROOT / "deploy/docker/alertmanager.yaml"


@pytest.fixture
def routing() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(ALERTMANAGER.read_text())
    return read


@pytest.fixture
def service() -> dict[str, Any]:
    [(name, service)] = yaml.safe_load(BESIDE.read_text())["services"].items()
    assert name == "alertmanager"
    found: dict[str, Any] = service
    return found


def test_prometheus_finds_it_by_the_name_of_its_service() -> None:
    [where] = yaml.safe_load(CONFIG.read_text())["alerting"]["alertmanagers"]
    [lookup] = where["dns_sd_configs"]
    assert (lookup["names"], lookup["port"]) == (["alertmanager"], 9093)
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert "alertmanager" not in compose["services"], "it is switched on by a file of its own"


def test_it_runs_with_prometheus_and_as_confined(service: dict[str, Any]) -> None:
    prometheus = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["prometheus"]
    for same in ("profiles", "init", "read_only", "cap_drop", "security_opt", "restart", "networks"):
        assert service[same] == prometheus[same], same
    assert "ports" not in service
    mounted = {source: (target, mode) for source, target, mode in mounts(service)}
    assert mounted["./deploy/monitoring/alertmanager.yaml"] == ("/etc/alertmanager/alertmanager.yaml", "ro")
    assert "--config.file=/etc/alertmanager/alertmanager.yaml" in service["command"]


def mounts(service: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Source, target and mode of what is mounted from this repository."""
    parts = [volume.split(":") for volume in service["volumes"] if volume.startswith("./")]
    return [(source, target, mode) for source, target, mode in parts]


def test_each_urgency_has_a_receiver(routing: dict[str, Any]) -> None:
    receivers = {receiver["name"] for receiver in routing["receivers"]}
    route = routing["route"]
    urgent = {
        severity
        for child in route["routes"]
        for matcher in child["matchers"]
        for severity in re.findall(r'^severity = "(\w+)"$', matcher)
    }
    assert urgent == {"page"} < {alert["labels"]["severity"] for alert in alerts().values()}
    assert {route["receiver"], *(child["receiver"] for child in route["routes"])} == receivers
    assert route["receiver"] not in {child["receiver"] for child in route["routes"]}


def test_only_alerts_that_there_are_keep_others_down(routing: dict[str, Any]) -> None:
    for rule in routing["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            [names] = re.findall(r'^alertname =~? "([\w|]+)"$', matcher)
            assert set(names.split("|")) <= set(alerts()), matcher


def test_no_secret_stands_in_it(routing: dict[str, Any], service: dict[str, Any]) -> None:
    named = re.findall(r"(\w+): /run/secrets/(\w+)", ALERTMANAGER.read_text())
    assert {key for key, _ in named} == {"url_file"}
    assert [secret for _, secret in named] == service["secrets"]
    declared = yaml.safe_load(BESIDE.read_text())["secrets"]
    assert {name: str(one["file"]).rpartition("/")[2] for name, one in declared.items()} == {
        name: name for name in service["secrets"]
    }
    hooks = [hook for receiver in routing["receivers"] for hook in receiver["webhook_configs"]]
    assert [sorted(hook) for hook in hooks] == [["send_resolved", "url_file"]] * 2


def test_alertmanager_takes_it(tmp_path: Path) -> None:
    tool = shutil.which("amtool")
    if tool is None:
        pytest.skip("amtool is not installed (Debian: apt-get install prometheus-alertmanager)")
    # Versions before 0.26 know no files for these addresses; for those it is one.
    told = subprocess.run([tool, "--version"], capture_output=True, text=True, timeout=60, check=True)
    text = ALERTMANAGER.read_text()
    if int(re.findall(r"version 0\.(\d+)", told.stdout + told.stderr)[0]) < 26:
        text = re.sub(r"url_file: [\w/]+", "url: http://127.0.0.1:1/", text)
    path = tmp_path / "alertmanager.yaml"
    path.write_text(text)
    done = subprocess.run(
        [tool, "check-config", path], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for severity, receiver in (("page", "pages"), ("ticket", "tickets")):
        asked = [tool, "config", "routes", "test", f"--config.file={path}", f"severity={severity}"]
        gone = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True)
        assert gone.stdout.strip() == receiver
