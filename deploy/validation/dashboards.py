"""Grafana's dashboards: what Grafana would show nothing for, and queries that Prometheus would not take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.validation import promql
from deploy.validation.outcome import ROOT, Outcome, judged

#: Where they lie.
FOLDER = ROOT / "deploy/monitoring/grafana/dashboards"
_COLUMNS = 24  # of Grafana's grid

Panel = dict[str, Any]


def check() -> list[Outcome]:
    """Whether each dashboard is well made, and Prometheus takes its queries."""
    outcomes = []
    for path in sorted(FOLDER.glob("*.json")):
        name = f"deploy/monitoring/grafana/dashboards/{path.name}"
        try:
            made = json.loads(path.read_text())
        except ValueError as error:
            outcomes.append(judged(name, [f"is no JSON: {error}"]))
            continue
        shown = list(panels(made))
        outcomes.append(judged(f"{name} ({len(shown)} panels)", list(faults(made))))
        outcomes.append(promql.check(name, queries(shown)))
    return outcomes or [judged(_shown(FOLDER), ["holds no dashboard"])]


def panels(dashboard: dict[str, Any]) -> Iterator[Panel]:
    """All panels, those in folded rows among them."""
    for panel in dashboard.get("panels", []):
        yield panel
        yield from panel.get("panels", [])


def queries(shown: list[Panel]) -> list[str]:
    """The queries of the panels."""
    return [target["expr"] for panel in shown for target in panel.get("targets", []) if "expr" in target]


def faults(dashboard: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a dashboard."""
    for key in ("uid", "title", "schemaVersion"):
        if not dashboard.get(key):
            yield f"{key} is missing"
    seen: set[int] = set()
    taken: dict[tuple[int, int], str] = {}
    for panel in panels(dashboard):
        called = f"panel {panel.get('title') or panel.get('id')!r}"
        if panel.get("id") in seen or not isinstance(panel.get("id"), int):
            yield f"{called}: its id {panel.get('id')} is missing or another panel's"
        seen.add(panel.get("id", 0))
        yield from (f"{called}: {fault}" for fault in _misplaced(panel, called, taken))
        if panel.get("type") in ("row", "text"):
            continue
        targets = panel.get("targets", [])
        if not targets or not all(target.get("expr") for target in targets):
            yield f"{called}: has no query"
        if not panel.get("datasource"):
            yield f"{called}: has no data source"


def _misplaced(panel: Panel, called: str, taken: dict[tuple[int, int], str]) -> Iterator[str]:
    place = panel.get("gridPos", {})
    if not all(isinstance(place.get(key), int) for key in "xywh"):
        yield "has no place"
        return
    if place["x"] < 0 or place["w"] < 1 or place["x"] + place["w"] > _COLUMNS:
        yield f"does not fit into {_COLUMNS} columns"
    covered = [
        (x, y)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    if others := {taken[cell] for cell in covered if cell in taken}:
        yield f"covers {', '.join(sorted(others))}"
    taken |= dict.fromkeys(covered, called)


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT))
