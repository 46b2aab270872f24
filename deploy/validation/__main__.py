"""Run every check that needs no network: ``python -m deploy.validation``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from deploy.validation import chart, compose, dashboards, dockerfile, monitoring
from deploy.validation.outcome import Outcome, Status

#: The checks by name, in the order in which they run.
CHECKS: dict[str, Callable[[], list[Outcome]]] = {
    "compose": compose.check,
    "dockerfile": dockerfile.check,
    "chart": chart.check,
    "monitoring": monitoring.check,
    "dashboards": dashboards.check,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks and tell what ran and what could not; 1 if one failed."""
    parser = argparse.ArgumentParser(prog="scripts/validate", description=__doc__)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=f"of {', '.join(CHECKS)} (default: all)")
    parser.add_argument("--all", action="store_true", help="fail if a tool is missing, too")
    options = parser.parse_args(arguments)
    if unknown := set(options.checks) - set(CHECKS):
        parser.error(f"no check is called {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}")
    outcomes = [outcome for name in options.checks or CHECKS for outcome in CHECKS[name]()]
    for outcome in outcomes:
        print(f"{outcome.status.value:8} {outcome.what}")
        for line in outcome.details:
            print(f"         {line}")
    counts = {status: sum(outcome.status is status for outcome in outcomes) for status in Status}
    print(", ".join(f"{count} {status.value.lower()}" for status, count in counts.items()))
    if counts[Status.MISSING]:
        print("What is missing was not checked.", file=sys.stderr)
    return int(bool(counts[Status.FAILED] or (options.all and counts[Status.MISSING])))


if __name__ == "__main__":
    sys.exit(main())
