"""``python -m tests.benchmarks.sandbox``: what a script's process costs, against its figures.

It needs no server and no stack: a zygote, and the event loop of a worker.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
import time
from dataclasses import asdict
from typing import Any

import psutil
import uvloop
from rich.console import Console
from rich.table import Table

from shared import garbage
from tests.benchmarks.percentiles import median, summary
from tests.benchmarks.report import Report, Say, Target
from workers.sandbox.limits import ScriptLimits
from workers.sandbox.process import ScriptProcesses, ScriptRequest

#: Seven lines, as people write them: an import, names, a comprehension, a condition, text.
SEVEN_LINES = """\
import random
names = ["Ann", "Bob", "Cy"]
who = random.choice(names)
counts = {name: len(name) for name in names}
total = sum(counts.values())
mood = "fine" if total > 5 else "low"
greeting = f"Hello {who}, you feel {mood} ({total})"
"""

#: Calls with 150 bytes there and back, timed where the script waits.
CALLS = """\
import time
took = []
for _ in range(190):
    began = time.perf_counter()
    ctx.echo("y" * 150)
    took.append((time.perf_counter() - began) * 1000)
"""

#: Milliseconds between two scripts of one turn that the pool has had time to fill up for.
PAUSE = 10
CONCURRENCY = (1, 2, 4, 8)


async def _echo(name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    return args[0]


async def _nothing(name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    return None


class _Bench:
    def __init__(self, processes: ScriptProcesses) -> None:
        self._processes = processes

    async def once(self) -> float:
        """Milliseconds of one run of the seven lines, its code compiled before."""
        began = time.perf_counter()
        request = ScriptRequest(SEVEN_LINES, functions=("echo",), cache_key=("bench", "seven lines"))
        result = await self._processes.run(request, _nothing)
        if not result.success:
            raise RuntimeError(f"the script failed: {result.error}")
        return (time.perf_counter() - began) * 1000

    async def measure(self, count: int) -> dict[str, Any]:
        """One round: warm single runs, runs a second at each concurrency, round trips of calls."""
        for _ in range(20):
            await self.once()
        warm = []
        for _ in range(count):
            await asyncio.sleep(PAUSE / 1000)
            warm.append(await self.once())
        run: dict[str, Any] = {"seven_lines_ms": summary(warm), "at_once": {}}
        for concurrency in CONCURRENCY:
            run["at_once"][str(concurrency)] = await self._at_once(concurrency, count)
        trips: list[float] = []
        for _ in range(3):
            result = await self._processes.run(ScriptRequest(CALLS, functions=("echo",)), _echo)
            trips += result.variables["took"]
        run["round_trip_ms"] = summary(trips)
        return run

    async def _at_once(self, concurrency: int, count: int) -> dict[str, Any]:
        times: list[float] = []

        async def some() -> None:
            for _ in range(count // concurrency):
                times.append(await self.once())

        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(some() for _ in range(concurrency)))
        elapsed = time.perf_counter() - began
        worker = (time.process_time() - cpu) / len(times) * 1000
        return {
            "runs_per_s": round(len(times) / elapsed, 1),
            "ms": summary(times),
            "worker_cpu_ms": round(worker, 3),
        }


def scripts(stack: object, say: Say, runs: int, quick: bool) -> Report:
    """A seven-line script, warm; runs a second on all cores; one round trip of a ``ctx`` function.

    ``stack`` is not used: scripts need neither gateway nor database.
    """
    report = Report("scripts")
    count = 100 if quick else 400
    processes = ScriptProcesses(ScriptLimits(), processes=16, reserved=4)
    began = time.perf_counter()
    processes.start()
    started = round((time.perf_counter() - began) * 1000, 1)

    async def measure() -> None:
        bench = _Bench(processes)
        for number in range(runs):
            run = {"start_ms": started, **await bench.measure(count)}
            report.runs.append(run)
            rates = "  ".join(f"{n}: {at['runs_per_s']:.0f}/s" for n, at in run["at_once"].items())
            say(
                f"{report.name}: run {number + 1} of {runs}, seven lines {run['seven_lines_ms']} ms | "
                f"{rates} | round trip {run['round_trip_ms']} ms"
            )

    # As in a worker, whatever collector and loop the caller has.
    garbage.settle()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(measure())
    finally:
        processes.close()
    for what, name, limits in (
        ("seven-line script, warm", "seven_lines_ms", {"p50": 3.0, "p99": 10.0}),
        ("ctx round trip", "round_trip_ms", {"p50": 0.15}),
    ):
        for share, limit in limits.items():
            measured = median([run[name][share] for run in report.runs])
            report.targets.append(Target(f"{what} {share}", limit, measured))
    for concurrency in CONCURRENCY[1:]:
        slowest = median([1000 / run["at_once"][str(concurrency)]["runs_per_s"] for run in report.runs])
        what = f"time a run at concurrency {concurrency} ({1000 / slowest:.0f} runs/s)"
        report.targets.append(Target(what, 4.0, round(slowest, 3)))
    return report


def main() -> int:
    """Measure; the exit status is 1 when a figure is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.sandbox", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of which the median counts (default: 5)")
    parser.add_argument("--quick", action="store_true", help="one short run")
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of a table")
    options = parser.parse_args()

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    report = scripts(None, say, 1 if options.quick else options.runs, options.quick)
    if options.json:
        machine = {"cores": psutil.cpu_count(), "python": platform.python_version()}
        print(json.dumps({"machine": machine, "benchmarks": [report.as_json()]}, indent=1))
    else:
        table = Table("figure", "limit", "measured", "", title="Scripts against their figures")
        for target in report.targets:
            values = asdict(target)
            met = "met" if target.met else "[bold red]missed"
            table.add_row(values["what"], f"{target.limit:g} ms", f"{target.measured:g} ms", met)
        Console().print(table)
    return 0 if all(target.met for target in report.targets) else 1


if __name__ == "__main__":
    sys.exit(main())
