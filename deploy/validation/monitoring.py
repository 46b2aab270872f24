"""Prometheus's configuration and rules, judged by promtool."""

from __future__ import annotations

from pathlib import Path

from deploy.validation import promql
from deploy.validation.outcome import ROOT, Outcome, judged, missing, ran

#: Where all of it lies.
MONITORING = ROOT / "deploy/monitoring"


def check() -> list[Outcome]:
    """Whether Prometheus takes its configuration and rules, and the rules do what their tests say."""
    tool = promql.tool()
    config = MONITORING / "prometheus.yaml"
    rules = sorted((MONITORING / "rules").glob("*.yaml"))
    tests = sorted((MONITORING / "tests").glob("*.yaml"))
    jobs = [
        ("promtool check config", ["check", "config", "--syntax-only"], [config]),
        ("promtool check rules", ["check", "rules"], rules),
        ("promtool test rules", ["test", "rules"], tests),
    ]
    outcomes = []
    for name, arguments, files in jobs:
        if not files or not all(file.exists() for file in files):
            outcomes.append(judged(f"{MONITORING.relative_to(ROOT)} ({name})", ["no such file"]))
            continue
        what = f"{', '.join(_shown(file) for file in files)} ({name})"
        outcomes.append(ran(what, [tool, *arguments, *files]) if tool else missing(what, promql.REMEDY))
    return outcomes


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT))
