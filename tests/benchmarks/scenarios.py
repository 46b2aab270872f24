"""Streams: what is measured of them, and against what."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.benchmarks.percentiles import median, summary
from tests.benchmarks.report import Report, Say, Target
from tests.benchmarks.stack import LoadProcess, Stack, cpu_seconds, memory


def load(stack: Stack, plan: dict[str, Any]) -> dict[str, Any]:
    """Run a load, and count the CPU time of every process meanwhile."""
    before = {role: cpu_seconds(pid) for role, pid in stack.processes.items()}
    result = LoadProcess(plan).result()
    # What follows the last token (commits, expiries) belongs to the price.
    time.sleep(0.5)
    after = {role: cpu_seconds(pid) for role, pid in stack.processes.items()}
    spent = {role: after[role] - before[role] for role in before}
    spent["client"] = result.pop("client_cpu")
    result["cpu_seconds"] = {role: round(seconds, 3) for role, seconds in spent.items()}
    if tokens := result.get("tokens"):
        result["cpu_s_per_1k_tokens"] = {
            role: round(seconds / tokens * 1000, 4) for role, seconds in spent.items()
        }
    return result


def through_parley(stack: Stack, **plan: Any) -> dict[str, Any]:
    """A plan for the load client: through Parley's gateway."""
    return {"parley": True, "port": stack.port, "key": stack.key, "fake_port": stack.fake.port, **plan}


def direct(stack: Stack, **plan: Any) -> dict[str, Any]:
    """A plan for the load client: through the direct proxy."""
    return {"parley": False, "port": stack.proxy_port, "fake_port": stack.fake.port, **plan}


def _line(way: str, result: dict[str, Any]) -> str:
    added, first, cpu = result["added_ms"], result["first_token_ms"], result.get("cpu_s_per_1k_tokens", {})
    ours = ("proxy",) if way == "direct" else ("gateway", "worker", "valkey", "postgres")
    parts = " ".join(
        f"{role} {seconds:.3f}"
        for role, seconds in cpu.items()
        if role.split()[-1] in ours or role == "client"
    )
    return (
        f"{way:6} added p50 {added.get('p50', 0):7.2f}  p99 {added.get('p99', 0):8.2f}  max "
        f"{added.get('max', 0):8.1f} ms | first token p50 {first.get('p50', 0):7.1f}  p99 "
        f"{first.get('p99', 0):8.1f} ms | {result['tokens']} tokens, lost {result['lost']}, doubled "
        f"{result['doubled']}, errors {result['errors']} {result['faults'] or ''} | CPU s/1k: {parts}"
    )


def _streams(
    stack: Stack,
    say: Say,
    report: Report,
    runs: int,
    *,
    count: int,
    tokens: int,
    tps: int,
    gap: float,
    ways: tuple[str, ...] = ("direct", "parley"),
) -> None:
    model = f"fake/tokens={tokens},tps={tps},stamp=1"
    plan = {"count": count, "tokens": tokens, "model": model, "gap": gap, "do": "streams"}
    plan["timeout"] = tokens / tps + count * gap + 60
    for number in range(runs):
        run: dict[str, Any] = {}
        # The two are measured in turn, so that whatever the machine does beside hits both.
        for way in ways:
            make = through_parley if way == "parley" else direct
            say(f"{report.name}: run {number + 1} of {runs}, {way}")
            run[way] = load(stack, make(stack, **plan))
            say("  " + _line(way, run[way]))
        report.runs.append(run)


def all_delivered(report: Report) -> list[Target]:
    """What no run may have."""
    ways = [run["parley"] for run in report.runs]
    return [
        Target("lost tokens", 0, sum(one["lost"] for one in ways), ""),
        Target("doubled tokens", 0, sum(one["doubled"] for one in ways), ""),
        Target("errors", 0, sum(one["errors"] for one in ways), ""),
    ]


def _added(report: Report, way: str, share: str) -> float:
    return median([run[way]["added_ms"].get(share, float("inf")) for run in report.runs])


def streams_200(stack: Stack, say: Say, runs: int, quick: bool) -> Report:
    """200 concurrent streams of 20 tokens a second, beside the direct proxy.

    A steady state: as many streams begin as end, so that accepting and committing go on all the while.
    """
    report = Report("streams-200x20")
    tokens = 150 if quick else 300
    _streams(stack, say, report, runs, count=200, tokens=tokens, tps=20, gap=tokens / 20 / 200)
    for share, more in (("p50", 2.0), ("p99", 15.0)):
        limit = round(_added(report, "direct", share) + more, 3)
        target = Target(
            f"added latency {share} (direct + {more:.0f})", limit, _added(report, "parley", share)
        )
        report.targets.append(target)
    report.targets += all_delivered(report)
    return report


def streams_1000(stack: Stack, say: Say, runs: int, quick: bool) -> Report:
    """1,000 concurrent streams of 5 tokens a second on one worker and one gateway process.

    40 begin each second; all run at once before the first one ends. What counts is that nothing is lost, so
    one run is enough.
    """
    report = Report("streams-1000x5")
    count, tokens = (300, 60) if quick else (1000, 150)
    ways = ("parley",) if quick else ("direct", "parley")
    _streams(stack, say, report, 1, count=count, tokens=tokens, tps=5, gap=0.025, ways=ways)
    report.targets += all_delivered(report)
    return report


def first_token(stack: Stack, say: Say, runs: int, quick: bool) -> Report:
    """Request written → first token at the client: 10 turns a second, a provider that answers at once."""
    report = Report("first-token-10/s")
    count = 80 if quick else 200
    plan = {"do": "streams", "count": count, "tokens": 5, "model": "fake/tokens=5,stamp=1", "gap": 0.1}
    plan |= {"jitter": 0.5, "timeout": 60}
    for number in range(runs):
        run = {}
        for way, make in (("direct", direct), ("parley", through_parley)):
            if way == "direct" and number:
                continue
            say(f"{report.name}: run {number + 1} of {runs}, {way}")
            run[way] = load(stack, make(stack, **plan, seed=number))
            say("  " + _line(way, run[way]))
        report.runs.append(run)
    for share, limit in (("p50", 15.0), ("p99", 40.0)):
        measured = median([run["parley"]["first_token_ms"].get(share, float("inf")) for run in report.runs])
        report.targets.append(Target(f"enqueue → first token {share}", limit, measured))
    report.targets += all_delivered(report)
    return report


def cancels(stack: Stack, say: Say, runs: int, quick: bool) -> Report:
    """Cancel → the provider's socket is closed, while it streams and before its first token."""
    report = Report("cancel")
    times: dict[str, list[float]] = {}
    errors = 0
    for number in range(runs):
        run: dict[str, Any] = {}
        for when, model in (
            ("streaming", "fake/tokens=100000,tps=20,stamp=1"),
            ("before the first token, headers sent", "fake/first=100"),
            ("before the first token, no headers", "fake/first=100,headers=late"),
        ):
            plan = through_parley(
                stack, do="cancels", count=50, model=model, gap=0.01, cancel_gap=0.04, timeout=30
            )
            plan |= {"batches": 1 if quick or when != "streaming" else 2, "streaming": when == "streaming"}
            plan |= {
                "redis_url": stack.valkey.url,
                "cancel_channel": "parley:cancel",
                "mark": f"turn {number}",
            }
            result = load(stack, plan)
            run[when] = result
            errors += result["errors"]
            for origin in ("publish", "request"):
                times.setdefault(f"{when.partition(',')[0]}, from the {origin}", []).extend(
                    result[f"from_{origin}"]
                )
            published, requested = summary(result["from_publish"]), summary(result["from_request"])
            say(
                f"{report.name}: run {number + 1} of {runs}, {when}: {result['cancelled']} cancelled, errors "
                f"{result['errors']} {result['faults'] or ''}; publish → closed p50 {published.get('p50')} "
                f"p99 {published.get('p99')} ms; request → closed p50 {requested.get('p50')} p99 "
                f"{requested.get('p99')} ms"
            )
        report.runs.append(run)
    for what, measured in times.items():
        figures = summary(measured)
        limit = 10.0 if what.endswith("publish") else 25.0
        report.targets.append(Target(f"{what} p99 (n={figures['count']})", limit, figures.get("p99")))
    report.targets.append(Target("errors", 0, errors, ""))
    return report


def waiting_memory(stack: Stack, say: Say, runs: int, quick: bool) -> Report:
    """What a turn that waits for its provider costs the worker, and what its client costs the gateway."""
    report = Report("memory")
    count = 200 if quick else 1000
    stack.restart()
    model = "fake/first=100"
    # Lazily imported modules and pools belong to the process, not to a turn.
    plan = {"do": "streams", "count": 20, "tokens": 5, "model": "fake/tokens=5,stamp=1", "gap": 0.02}
    LoadProcess(through_parley(stack, **plan, timeout=30)).result()
    time.sleep(2)
    pids = {role: stack.processes[role] for role in ("gateway", "worker")}
    idle = {role: memory(pid) for role, pid in pids.items()}
    stack.fake.reset()
    say(f"{report.name}: {count} turns wait for their provider")
    plan = {"do": "hold", "count": count, "tokens": 0, "model": model, "gap": 0.01, "timeout": 60}
    held = LoadProcess(through_parley(stack, **plan, options={"on_disconnect": "cancel"}))
    ready = held.line()
    time.sleep(3)
    loaded = {role: memory(pid) for role, pid in pids.items()}
    held.tell("go on")
    held.result()
    each = {
        role: {kind: round((loaded[role][kind] - idle[role][kind]) / count * 1000, 2) for kind in idle[role]}
        for role in pids
    }
    run = {"turns": count, "broken": ready["broken"], "idle_mb": idle, "loaded_mb": loaded, "each_kb": each}
    report.runs.append(run)
    say(f"  idle {idle}\n  with {count} {loaded}\n  each, KB {each}")
    report.targets = [
        Target("worker, RSS per waiting turn", 200, each["worker"]["rss"], "KB"),
        Target("gateway, RSS per SSE client", 50, each["gateway"]["rss"], "KB"),
        Target("errors", 0, ready["broken"], ""),
    ]
    stack.restart()
    return report


STREAMS: dict[str, Callable[[Stack, Say, int, bool], Report]] = {
    "streams-200": streams_200,
    "first-token": first_token,
    "cancel": cancels,
    "streams-1000": streams_1000,
    "memory": waiting_memory,
}
