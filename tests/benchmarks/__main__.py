"""``python -m tests.benchmarks``: measure Parley against its figures, with the direct proxy in the same run.

It starts everything itself: durable Postgres and Valkey, a fake provider, the direct proxy, one gateway, one
worker, and a load client, each a process of its own. The exit status is 1 when a figure is missed.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from shared import __version__
from tests.benchmarks.bomb import bomb
from tests.benchmarks.experiments import experiments
from tests.benchmarks.modules import modules
from tests.benchmarks.report import Report
from tests.benchmarks.sandbox import scripts
from tests.benchmarks.scenarios import STREAMS, direct, load, through_parley
from tests.benchmarks.stack import BenchmarkError, Stack, running_stack

ALL = {**STREAMS, "modules": modules, "scripts": scripts, "bomb": bomb, "experiments": experiments}
RESULTS = Path(__file__).parent / "results"
#: Seconds that everything may take.
LONGEST, LONGEST_QUICK = 1800, 300
_PACKAGES = (
    "aiohttp",
    "celery",
    "fastapi",
    "httpx",
    "orjson",
    "psycopg",
    "redis",
    "sqlalchemy",
    "uvicorn",
    "uvloop",
)


def machine(stack: Stack) -> dict[str, Any]:
    """What it was measured on."""
    return {
        "cores": psutil.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        "postgres": stack.postgres.version(),
        "valkey": stack.valkey.version(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def show(reports: list[Report]) -> None:
    """The table for people."""
    table = Table(title="Parley against its figures")
    for column in ("benchmark", "figure", "limit", "measured", ""):
        table.add_column(column, justify="right" if column in {"limit", "measured"} else "left")
    for report in reports:
        for index, target in enumerate(report.targets):
            measured = "–" if target.measured is None else f"{target.measured:g} {target.unit}"
            table.add_row(
                report.name if index == 0 else "",
                target.what,
                f"{target.limit:g} {target.unit}",
                measured,
                "met" if target.met else "[bold red]missed",
            )
        table.add_section()
    Console().print(table)


def _too_long(*_: object) -> None:
    raise BenchmarkError("the benchmark took longer than it may")


def main() -> int:
    """Measure; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(ALL), help="may be repeated")
    parser.add_argument("--runs", type=int, default=5, help="of which the median counts (default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there; - is stdout")
    parser.add_argument("--quick", action="store_true", help="one short run of each, within 5 minutes")
    options = parser.parse_args()
    runs = 1 if options.quick else options.runs
    names = options.only or list(ALL)
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {line}", file=sys.stderr, flush=True)

    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LONGEST_QUICK if options.quick else LONGEST)
    reports: list[Report] = []
    try:
        say("starting Postgres, Valkey, provider, proxy, gateway and worker")
        with running_stack() as stack:
            results: dict[str, Any] = {
                "parley": __version__,
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "quick": options.quick,
                "runs": runs,
                "machine": machine(stack),
            }
            say("warming up")
            warm_up(stack)
            for name in names:
                reports.append(ALL[name](stack, say, runs, options.quick))
    except BenchmarkError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2
    signal.alarm(0)
    results["benchmarks"] = [report.as_json() for report in reports]
    results["met"] = all(target.met for report in reports for target in report.targets)
    keep(results, options.json)
    if str(options.json) != "-":
        show(reports)
    return 0 if results["met"] else 1


def warm_up(stack: Stack) -> None:
    """Imports, pools and caches are filled before anything counts."""
    plan = {"do": "streams", "count": 50, "tokens": 20, "model": "fake/tokens=20,tps=20,stamp=1"}
    for make in (direct, through_parley):
        load(stack, make(stack, **plan, gap=0.02, timeout=30))


def keep(results: dict[str, Any], file: Path | None) -> None:
    """Write the results, raw as they are, to ``results`` and to ``file``."""
    text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{results['at'].replace(':', '')}.json").write_text(text)
    if str(file) == "-":
        print(text, end="")
    elif file is not None:
        file.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
