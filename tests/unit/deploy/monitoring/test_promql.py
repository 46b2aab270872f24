"""What alerts and dashboard ask for exists: metrics, their labels, and a parser that takes the question."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.monitoring.catalogue import catalogue
from tests.unit.deploy.monitoring.promql import (
    CONFIG,
    RULE_TESTS,
    RULES,
    alerts,
    expressions,
    grouped,
    recorded,
    series,
)

#: What Prometheus adds to every series, and what its client library tells of each process.
TARGET = {"instance", "job"}
PROCESS = {"process_cpu_seconds_total": set[str](), "process_resident_memory_bytes": set[str]()}
KNOWN = {
    **{name: set(labels) for entry in catalogue() for name, labels in entry.series.items()},
    **PROCESS,
    "up": set[str](),
}

EXPRESSIONS = expressions()


@pytest.mark.parametrize("place", EXPRESSIONS)
def test_an_expression_names_only_what_there_is(place: str) -> None:
    expression = EXPRESSIONS[place]
    named = list(series(expression))
    assert named, "it asks for nothing"
    labels = set(TARGET)
    for name, selected in named:
        assert name in KNOWN or name in recorded(), f"there is no metric {name}"
        labels |= KNOWN.get(name, set())
        assert selected <= KNOWN.get(name, set()) | TARGET, f"{name} has no label {selected}"
    assert grouped(expression) <= labels


@pytest.mark.parametrize("place", EXPRESSIONS)
def test_what_the_whole_cluster_tells_is_never_added_up(place: str) -> None:
    of_cluster = {name for entry in catalogue() if entry.of_cluster for name in entry.series}
    for name, _ in series(EXPRESSIONS[place]):
        if name in of_cluster:
            before = EXPRESSIONS[place].partition(name)[0]
            assert re.search(r"\b(max|absent)( by \([\w, ]+\))? ?\($", before), place


def test_every_metric_is_shown_or_alerted_on() -> None:
    used = {name for expression in EXPRESSIONS.values() for name, _ in series(expression)}
    unused = [entry.name for entry in catalogue() if not used & entry.series.keys()]
    assert unused == []


def test_label_values_that_are_asked_for_are_told() -> None:
    """A misspelt kind or role would never match, and an alert on it never fire."""
    from shared.jobs.states import JobKind
    from shared.metrics.cluster import STANDINGS
    from shared.metrics.jobs import ATTEMPT_ENDS
    from shared.metrics.limits import LIMITS
    from shared.metrics.turns import USES

    values = {
        "kind": set(JobKind),
        "role": {"gateway", "worker", "maintenance"},
        "dependency": {"postgres", "redis"},
        "limit": set(LIMITS),
        "direction": {"input", "output"},
        "use": set(USES),
        "outcome": set(ATTEMPT_ENDS),
        "status": {*STANDINGS, "succeeded", "failed", "cancelled", "5.."},
        "job": {
            ".*parley.*",
            *(job["job_name"] for job in yaml.safe_load(CONFIG.read_text())["scrape_configs"]),
        },
    }
    for place, expression in EXPRESSIONS.items():
        for selector in re.findall(r"\{([^}]*)\}", expression):
            for label, value in re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"', selector):
                asked = {value} if value in values[label] else set(value.split("|"))
                assert asked <= values[label], (place, label, value)


def promtool(*arguments: str | Path) -> None:
    """Run promtool; what it says is told when it refuses."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    ran = subprocess.run(
        [tool, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_promtool_takes_configuration_and_rules() -> None:
    promtool("check", "config", CONFIG)
    promtool("check", "rules", RULES)


def test_alerts_fire_and_stay_silent_when_they_should() -> None:
    promtool("test", "rules", RULE_TESTS)


def test_every_expression_can_be_parsed(tmp_path: Path) -> None:
    """Those of the dashboard are put into a file of rules, which promtool parses."""
    asked = [
        {"record": f"asked:number{number}", "expr": expression}
        for number, expression in enumerate(EXPRESSIONS.values())
    ]
    page = tmp_path / "asked.yaml"
    page.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": asked}]}))
    promtool("check", "rules", page)


def test_every_alert_is_seen_to_fire_and_to_be_silent() -> None:
    fires: set[str] = set()
    silent: set[str] = set()
    for test in yaml.safe_load(RULE_TESTS.read_text())["tests"]:
        for looked in test.get("alert_rule_test", ()):
            (fires if looked["exp_alerts"] else silent).add(looked["alertname"])
    assert fires == set(alerts()), "each alert needs a test in which it fires"
    assert silent == set(alerts()), "each alert needs a test in which it does not"


def test_the_dashboard_is_what_grafana_writes() -> None:
    """It is kept as Grafana exports it, so that a change made there can be put here."""
    from tests.unit.deploy.monitoring.promql import DASHBOARD

    text = DASHBOARD.read_text()
    assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n"
