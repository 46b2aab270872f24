"""The files of deploy/monitoring fit each other, the compose file and the guide."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
import yaml

from deploy.monitoring.catalogue import catalogue
from deploy.monitoring.documentation import PAGE, written
from tests.unit.deploy.monitoring.promql import CONFIG, DASHBOARD, MONITORING, ROOT, alerts, panels, rules

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
GRAFANA = MONITORING / "grafana"
PORT = 9464


# Alerts ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_how_urgent_it_is_and_where_to_read_on(name: str) -> None:
    alert = alerts()[name]
    assert re.fullmatch(r"Parley([A-Z][a-z]+)+", name)
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"]["summary"].endswith(".")
    assert alert["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    guide = (ROOT / "docs/operations.md").read_text()
    runbooks = re.findall(r"^### (Parley\w+)$", guide, re.MULTILINE)
    assert sorted(runbooks) == sorted(alerts())


def test_names_are_given_once() -> None:
    names = [rule.get("alert") or rule["record"] for rule in rules()]
    assert len(names) == len(set(names))


# Prometheus -----------------------------------------------------------------------------------------------
def test_every_service_that_tells_metrics_is_scraped() -> None:
    config = yaml.safe_load(CONFIG.read_text())
    scraped = {
        name: lookup["port"]
        for job in config["scrape_configs"]
        for lookup in job.get("dns_sd_configs", ())
        for name in lookup["names"]
    }
    telling = {
        name
        for name, service in COMPOSE["services"].items()
        if f":{PORT}" in str((service.get("environment") or {}).get("PARLEY_METRICS_LISTEN", ""))
    }
    assert telling == {"gateway", "worker-chat", "worker-experiment", "maintenance"}
    assert scraped == dict.fromkeys(telling, PORT)
    for job in config["scrape_configs"]:
        # Alerts find Parley's processes by the names of their jobs.
        assert ("parley" in job["job_name"]) == ("dns_sd_configs" in job)


def test_the_compose_file_hands_over_what_the_configuration_names() -> None:
    mounts = mounted("prometheus")
    assert mounts["./deploy/monitoring/prometheus.yaml"] == "/etc/prometheus/prometheus.yaml"
    # The configuration names its rules beside itself.
    assert yaml.safe_load(CONFIG.read_text())["rule_files"] == ["rules/*.rules.yaml"]
    assert mounts["./deploy/monitoring/rules"] == "/etc/prometheus/rules"


# Grafana --------------------------------------------------------------------------------------------------
def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    mounts = mounted("grafana")
    assert mounts["./deploy/monitoring/grafana/provisioning"] == "/etc/grafana/provisioning"
    [provider] = yaml.safe_load((GRAFANA / "provisioning/dashboards/parley.yaml").read_text())["providers"]
    assert provider["options"]["path"] == mounts["./deploy/monitoring/grafana/dashboards"]
    [source] = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in COMPOSE["services"]
    interval = yaml.safe_load(CONFIG.read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == interval


def test_the_dashboard_can_be_imported_anywhere() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert (dashboard["uid"], dashboard["title"]) == ("parley", "Parley")
    assert dashboard.get("id") is None
    [variable] = dashboard["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    for panel in panels():
        for place in (panel, *panel.get("targets", ())):
            if "datasource" in place:
                assert place["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_every_panel_says_what_it_shows() -> None:
    drawn = [panel for panel in panels() if panel["type"] != "row"]
    assert {panel["type"] for panel in drawn} == {"stat", "timeseries"}
    for panel in drawn:
        assert panel["title"], panel["id"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert target["expr"]
            assert target["legendFormat"]
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters))


def test_panels_lie_side_by_side() -> None:
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))
    taken: dict[tuple[int, int], str] = {}
    for panel in panels():
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        for place in itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])):
            assert place not in taken, f"{panel['title']} lies over {taken[place]}"
            taken[place] = panel["title"]


# The page -------------------------------------------------------------------------------------------------
def test_the_page_tells_of_every_metric() -> None:
    page = PAGE.read_text()
    assert page == written(page), "run scripts/metrics-docs"


def test_pages_name_only_metrics_that_there_are() -> None:
    there = {name for entry in catalogue() for name in (entry.name, *entry.series)}
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "deploy/kubernetes/parley/README.md"]
    for page in pages:
        named = set(re.findall(r"`(parley_[a-z_]+)[`{]", page.read_text()))
        assert named <= there, page.name


def mounted(service: str) -> dict[str, str]:
    """What a service gets of this repository, and where."""
    volumes = [volume.split(":") for volume in COMPOSE["services"][service]["volumes"]]
    return {parts[0]: parts[1] for parts in volumes if parts[0].startswith("./")}
