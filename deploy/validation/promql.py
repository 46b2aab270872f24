"""Prometheus's queries, judged by promtool."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.validation.outcome import Outcome, missing, ran

REMEDY = "install promtool (Debian: apt-get install prometheus)"

#: What Grafana puts into a query, and something of the kind.
_GRAFANA = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "1h"}


def tool() -> str | None:
    """Prometheus's own judge."""
    return shutil.which("promtool")


def check(what: str, expressions: Iterable[str]) -> Outcome:
    """Whether Prometheus would take the ``expressions``; ``what`` says whose they are."""
    command = tool()
    what = f"{what} (promtool check rules)"
    if command is None:
        return missing(what, REMEDY)
    rules = [
        {"record": f"query_{number}", "expr": _plain(expression)}
        for number, expression in enumerate(expressions)
    ]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "queries.yaml"
        # JSON is YAML, and needs no quoting of its own.
        file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
        return ran(what, [command, "check", "rules", file])


def _plain(expression: str) -> str:
    for name, value in _GRAFANA.items():
        expression = expression.replace(name, value)
    # Variables of the dashboard stand for values of labels.
    return re.sub(r"\$\{?\w+(:\w+)?\}?", "value", expression)
