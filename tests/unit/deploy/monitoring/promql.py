"""The PromQL of alerts and dashboard: where it stands, and which series it names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[4]
MONITORING = ROOT / "deploy/monitoring"
RULES = MONITORING / "rules/parley.rules.yaml"
RULE_TESTS = MONITORING / "tests/parley.test.yaml"
CONFIG = MONITORING / "prometheus.yaml"
DASHBOARD = MONITORING / "grafana/dashboards/parley.json"

#: A name with its selector, if it has one; what stands in quotes is not looked at.
_SERIES = re.compile(r"\b((?:parley|process)_\w+|parley:[\w:]+|up)\b(?:\s*\{([^}]*)\})?")
_MATCHER = re.compile(r"\s*(\w+)\s*(?:=~|!~|!=|=)")
_GROUPED = re.compile(r"\b(?:by|on|group_left|without|ignoring)\s*\(([^)]*)\)")
_STRING = re.compile(r'"[^"]*"')


def rules() -> list[dict[str, Any]]:
    """Every rule of the file."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """The alerts by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def recorded() -> set[str]:
    """Names of recorded series."""
    return {rule["record"] for rule in rules() if "record" in rule}


def panels() -> list[dict[str, Any]]:
    """The panels of the dashboard, rows included."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> dict[str, str]:
    """Every expression, by where it stands; Grafana's variables have values."""
    found = {f"rule {rule.get('alert') or rule['record']}": rule["expr"] for rule in rules()}
    for panel in panels():
        for target in panel.get("targets", ()):
            place = f"panel {panel['title']} {target['refId']}"
            found[place] = target["expr"].replace("$__rate_interval", "1m")
    return found


def series(expression: str) -> Iterator[tuple[str, set[str]]]:
    """The series that an expression names, each with the labels that its selector names."""
    for name, selector in _SERIES.findall(expression):
        yield name, set(_MATCHER.findall(_STRING.sub('""', selector)))


def grouped(expression: str) -> set[str]:
    """The labels that an expression groups or joins by."""
    return {label.strip() for inside in _GROUPED.findall(expression) for label in inside.split(",")} - {""}
