"""``python -m tests.benchmarks.timeline``: where the time goes between a request and its first token.

Every hop of every turn is timed, by one clock for all processes; the table shows the median and the 99th
percentile of each hop. The clocks themselves cost about 5 µs a hop.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict

from rich.console import Console
from rich.table import Table

from tests.benchmarks.percentiles import summary
from tests.benchmarks.scenarios import _line, load, through_parley
from tests.benchmarks.stack import Stack, running_stack

#: In the order in which a turn passes them; those marked * run beside the next ones.
HOPS = (
    "request read",
    "caller known",
    "accept begins",
    "committed",
    "response begun*",
    "wake-up begins",
    "wake-up sent*",
    "wake-up taken",
    "on the loop",
    "claimed",
    "turn loaded",
    "provider asked",
    "provider answers",
    "chunk emitted",
    "chunk in Redis*",
    "chunk heard",
    "chunk sent",
)


def times(stack: Stack) -> dict[str, dict[str, int]]:
    """Job → hop → when."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for name in ("gateway", "worker"):
        for line in (stack.root / f"{name}.trace").read_text().splitlines():
            hop, job, at = line.rsplit(" ", 2)
            if job in found or name == "gateway":
                found[job].setdefault(hop, int(at))
    return found


def main() -> int:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--gap", type=float, default=0.1, help="seconds between two turns")
    options = parser.parse_args()
    with running_stack(traced=True) as stack:
        plan = {"do": "streams", "tokens": 5, "model": "fake/tokens=5,stamp=1", "jitter": 0.5, "timeout": 60}
        load(stack, through_parley(stack, **plan, count=40, gap=0.05))
        known = set(times(stack))
        result = load(stack, through_parley(stack, **plan, count=options.count, gap=options.gap))
        turns = [hops for job, hops in times(stack).items() if job not in known]
    print(_line("parley", result), file=sys.stderr)
    steps: dict[str, list[float]] = defaultdict(list)
    totals: dict[str, list[float]] = defaultdict(list)
    for hops in turns:
        before = start = hops.get("request read", 0)
        for hop in HOPS:
            at = hops.get(hop.rstrip("*"), 0)
            if not at or not start:
                continue
            steps[hop].append((at - before) / 1e6)
            totals[hop].append((at - start) / 1e6)
            if not hop.endswith("*"):
                before = at
    table = Table(title=f"A turn, hop by hop (ms, {len(turns)} turns)")
    for column in ("hop", "since the one before: p50", "p99", "since the request: p50", "p99"):
        table.add_column(column, justify="left" if column == "hop" else "right")
    for hop in HOPS:
        step, total = summary(steps[hop]), summary(totals[hop])
        table.add_row(hop, *(f"{one.get(share, 0):.2f}" for one in (step, total) for share in ("p50", "p99")))
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
