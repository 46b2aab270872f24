"""How long experiments take beside the calls that their protocol puts one behind the other.

The provider answers each call after 200 ms. The chain of a run is the longest row of calls that the protocol
orders: nothing could be faster than its length times 200 ms. It is counted from the transcript, by the rules
below and not by what the run happened to do one after the other.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import psycopg

from tests.benchmarks.percentiles import median
from tests.benchmarks.report import Report, Say, Target
from tests.benchmarks.stack import BenchmarkError, Stack, memory

CALL = 0.2  # seconds
AGENTS = 5
#: Seconds that all the runs of one measurement may take.
LONGEST = 600
#: Runs at once: those that are to take little longer than one, and those that are to come to their end.
MANY, MOST = 20, 100


def config(rounds: int, seed: int) -> dict[str, Any]:
    """A run of five agents who never agree to vote, so that it goes through all of its rounds."""
    model = f"fake/agents=talk,first={CALL}"
    names = [f"Agent_{number}" for number in range(1, AGENTS + 1)]
    return {
        "agents": [{"name": name, "personality": "You weigh your words.", "model": model} for name in names],
        "utility_agent_model": model,
        "connection": "fake",
        "phase2_rounds": rounds,
        "seed": seed,
    }


def experiments(stack: Stack, say: Say, runs: int, quick: bool) -> Report:
    """One run beside its chain of calls; 20 and 100 at once beside one; replays."""
    report = Report("experiments")
    rounds = 2 if quick else 10
    stack.restart()
    alone: list[float] = []
    ratios: list[float] = []
    for number in range(1 if quick else min(runs, 3)):
        [ident] = _start(stack, rounds, 1, seed=number)
        [wall] = _finish(stack, [ident])
        length = chain(_steps(stack, ident))
        alone.append(wall)
        ratios.append(wall / (length * CALL))
        report.runs.append({"way": "alone", "wall": wall, "chain": length, "ratio": ratios[-1]})
        say(f"one run: {wall:.2f} s, {length} calls in a chain, {ratios[-1]:.3f} times as long as they")
    report.targets.append(Target("one run / its chain of calls", 1.10, round(median(ratios), 4), "×"))

    for count in (MANY, 10 if quick else MOST):
        stack.restart()
        watch = Memory(stack.processes["worker"])
        before = _commits(stack)
        idents = _start(stack, rounds, count, seed=100)
        with watch:
            walls = _finish(stack, idents)
        steps = _written(stack)
        result = {
            "way": f"{count} at once",
            "walls": sorted(walls),
            "times_one": max(walls) / median(alone),
            "worker_mb_a_run": watch.grown / count,
            "steps_a_commit": steps / max(_commits(stack) - before, 1),
        }
        report.runs.append(result)
        say(
            f"{count} at once: the last after {max(walls):.2f} s, {result['times_one']:.3f} times as long as "
            f"one; {result['worker_mb_a_run']:.2f} MB a run"
        )
        if count == MANY:
            measured = round(result["times_one"], 4)
            report.targets.append(Target("20 runs at once / one run", 1.25, measured, "×"))
        else:
            report.targets.append(
                Target("runs of 100 at once that did not finish", 0, count - len(walls), "")
            )
            per_run = round(result["worker_mb_a_run"], 3)
            report.targets.append(Target("worker memory a run, 100 at once", 2, per_run, "MB"))

    source = idents[0]
    replays = [_replay(stack, source) for _ in range(3 if quick else 20)]
    calls = _show(stack, source)["calls"]
    report.runs.append({"way": "replay", "calls": calls, "walls": sorted(replays)})
    say(f"replay of {calls} calls: {median(replays):.3f} s (longest {max(replays):.3f})")
    report.targets.append(Target("replay of a 300-call run, p50", 1000, round(1000 * median(replays), 1)))
    report.targets.append(Target("replay of a 300-call run, longest", 1000, round(1000 * max(replays), 1)))
    return report


def chain(steps: Iterable[dict[str, Any]]) -> int:
    """Calls that the protocol puts one behind the other.

    Phase 1: each agent's own, all agents at once. Phase 2: what agents take over from phase 1, all at once;
    in a round the speakers' one behind the other, then the memories at once, then the question for a vote
    from agent to agent, then confirmations and ballots at once; at the end, results and last rankings at
    once. What the utility agent reads of statements nobody waits for.
    """
    alone: Counter[str] = Counter()
    rounds: dict[str, dict[str, Counter[str]]] = {}
    ends: dict[str, Counter[str]] = {"before": Counter(), "after": Counter()}
    for step in steps:
        if step["kind"] != "call":
            continue
        phase, *place = step["path"].split("/")
        number = place.pop(0) if place[0].startswith("r") and place[0][1:].isdigit() else None
        agent, part, *more = place
        if phase == "p1":
            alone[agent] += 1
        elif number is None:
            ends["before" if "phase_transition" in more else "after"][agent] += 1
        elif part != "favoured":
            part = {"reasoning": "speaking", "statement": "speaking", "vote": f"vote/{more[0]}"}.get(
                part, part
            )
            rounds.setdefault(number, {}).setdefault(part, Counter())[agent] += 1
    length = max(alone.values()) + sum(max(counts.values(), default=0) for counts in ends.values())
    for parts in rounds.values():
        for part, counts in parts.items():
            one_by_one = part in ("speaking", "vote/initiation")
            length += counts.total() if one_by_one else max(counts.values())
    return length


class Memory:
    """The most memory of a process, above what it had at the beginning, in MB."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = memory(pid)["rss"]
        self._most = self._before
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def grown(self) -> float:
        """How much it came to."""
        return self._most - self._before

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.25):
            self._most = max(self._most, memory(self._pid)["rss"])


def _start(stack: Stack, rounds: int, count: int, *, seed: int) -> list[str]:
    return [
        stack.ask("POST", "/api/experiments", {"config": config(rounds, seed + number)})["experiment_id"]
        for number in range(count)
    ]


def _finish(stack: Stack, idents: list[str]) -> list[float]:
    """Seconds from the acceptance of each run to its end."""
    deadline = time.monotonic() + LONGEST
    left, walls = list(idents), []
    while left and time.monotonic() < deadline:
        shown = _show(stack, left[0])
        if shown["status"] in ("failed", "cancelled"):
            raise BenchmarkError(f"a run came to {shown['status']}: {shown['error']}")
        if shown["status"] != "succeeded":
            time.sleep(0.25)
            continue
        left.pop(0)
        walls.append(_seconds(shown))
    return walls


def _replay(stack: Stack, ident: str) -> float:
    made = stack.ask("POST", f"/api/experiments/{ident}/replay")
    [wall] = _finish(stack, [made["experiment_id"]])
    if not _show(stack, made["experiment_id"])["matches_source"]:
        raise BenchmarkError("a replay came to another result")
    return wall


def _show(stack: Stack, ident: str) -> dict[str, Any]:
    shown: dict[str, Any] = stack.ask("GET", f"/api/experiments/{ident}")
    return shown


def _seconds(shown: dict[str, Any]) -> float:
    began, ended = (datetime.fromisoformat(shown[name]) for name in ("created_at", "finished_at"))
    return (ended - began).total_seconds()


def _steps(stack: Stack, ident: str) -> Iterator[dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=60)
    try:
        connection.request(
            "GET",
            f"/api/experiments/{ident}/transcript?format=jsonl&include_memory_updates=true",
            headers={"Authorization": f"Bearer {stack.key}"},
        )
        for line in connection.getresponse().read().splitlines():
            yield json.loads(line)
    finally:
        connection.close()


def _commits(stack: Stack) -> int:
    return int(_scalar(stack, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"))


def _written(stack: Stack) -> int:
    return int(_scalar(stack, "SELECT count(*) FROM experiment_steps"))


def _scalar(stack: Stack, query: str) -> Any:
    with psycopg.connect(stack.postgres.url("parley").replace("+psycopg", "")) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]
