"""``docs/metrics.md``, whose tables are written from the metrics themselves.

``python -m deploy.monitoring.documentation`` writes them, with ``--check`` it only compares.
"""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.generated import keep_current
from deploy.monitoring.catalogue import catalogue
from shared.metrics.limits import LIMITS

PAGE = Path(__file__).parents[2] / "docs/metrics.md"


def metrics_table() -> str:
    """A row for each metric."""
    rows = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for entry in catalogue():
        labels = ", ".join(f"`{label}`" for label in entry.labels)
        meaning = entry.help + (" Of the whole cluster: take the `max`." if entry.of_cluster else "")
        rows.append(f"| `{entry.name}` | {entry.type} | {labels} | {meaning} |")
    return "\n".join(rows)


def limits_table() -> str:
    """A row for each limit."""
    rows = ["| `limit` | meaning, and the setting that moves it |", "|---|---|"]
    rows += [f"| `{limit}` | {meaning} |" for limit, meaning in LIMITS.items()]
    return "\n".join(rows)


def written(page: str) -> str:
    """The page with its tables as they should be.

    Raises:
        ValueError: a table has no place in it.
    """
    for name, table in (("metrics", metrics_table()), ("limits", limits_table())):
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"{PAGE.name} needs {begin} and {end}")
        page = f"{before}{begin}\n{table}\n{end}{after}"
    return page


def main(arguments: list[str]) -> int:
    """Write the page, or compare it with ``--check``; the exit status."""
    return keep_current(
        arguments, "scripts/metrics-docs", lambda: {PAGE: written(PAGE.read_text(encoding="utf-8"))}
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
