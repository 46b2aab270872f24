"""Days that the queue of 10,000 streams may have: an ordinary one, a rush, one greedy owner, lost workers."""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

from shared.jobs.store import SAMPLED
from tests.benchmarks.percentiles import percentile
from tests.simulation.queue import Cluster, Costs, Simulation, Turn

#: At 20 tokens a second and worker cores that carry 3,600 of them (docs/operations.md).
WORKERS = 56
STREAMS = 10_000
OWNERS = 100_000
#: Seconds that an answer of 300 tokens takes, on average; some are short, few are long.
_ANSWER = 15.0
_SPREAD = 0.8
Arrivals = Iterator[tuple[float, int, float]]


def takes(rng: random.Random) -> float:
    """Seconds of one answer: log-normal, with :data:`_ANSWER` as its mean."""
    return rng.lognormvariate(math.log(_ANSWER) - _SPREAD**2 / 2, _SPREAD)


def poisson(
    rng: random.Random, rate: float, until: float, owners: int = OWNERS, since: float = 0.0
) -> Arrivals:
    """Turns of anybody, at random."""
    now = since
    while (now := now + rng.expovariate(rate)) < until:
        yield now, rng.randrange(owners), takes(rng)


def merged(*parts: Arrivals) -> Arrivals:
    """Several streams of arrivals, in the order of time."""
    yield from sorted(itertools.chain(*parts))


def ordinary(cluster: Cluster, seed: int) -> dict[str, Any]:
    """10,000 streams on average, for five minutes."""
    world = Simulation(cluster, seed)
    world.arrive(poisson(world.random, STREAMS / _ANSWER, 300.0))
    world.run(300.0)
    settled = [turn for turn in world.turns if turn.sent > 100]
    return {"streams_at_the_end": world.running, **_told(world, settled, 300.0)}


def rush(cluster: Cluster, seed: int) -> dict[str, Any]:
    """10,000 people ask within one second, and nobody did before."""
    world = Simulation(cluster, seed)
    world.arrive(iter(sorted((world.random.random(), n, takes(world.random)) for n in range(STREAMS))))
    world.run(600.0)
    began = [turn.began for turn in world.turns if turn.began is not None]
    return {"seconds_until_all_run": round(max(began), 1), **_told(world, world.turns, 600.0)}


def greedy(cluster: Cluster, seed: int) -> dict[str, Any]:
    """On an ordinary day one owner sends 20,000 turns within 20 seconds."""
    world = Simulation(cluster, seed)
    usual = poisson(world.random, 0.7 * STREAMS / _ANSWER, 200.0)
    hoard = ((60.0 + n / 1_000, OWNERS, takes(world.random)) for n in range(20_000))
    world.arrive(merged(usual, hoard))
    world.run(200.0)
    others = [turn for turn in world.turns if turn.owner != OWNERS and turn.sent > 60]
    return {"running_of_the_greedy": world.queue.running.get(OWNERS, 0), **_told(world, others, 200.0)}


def lost_workers(cluster: Cluster, seed: int) -> dict[str, Any]:
    """On an ordinary day every tenth worker dies at once; others are there 20 seconds later."""
    world = Simulation(cluster, seed)
    world.arrive(poisson(world.random, STREAMS / _ANSWER, 240.0))
    dying = list(range(0, cluster.workers, 10))
    lost: list[Turn] = []

    def die() -> None:
        lost.extend(world.turns[number] for worker in dying for number in world.held[worker])
        world.kill(dying, back_after=20.0)

    world.at(120.0, die)
    world.run(240.0)
    again = sorted(turn.began - 120.0 for turn in lost if turn.began is not None and turn.attempts > 1)
    others = [turn for turn in world.turns if turn.sent > 120 and turn.attempts == 1]
    return {
        "turns_taken_over": len(again),
        "taken_over_after_p50_s": round(percentile(again, 0.5), 2),
        "taken_over_after_p99_s": round(percentile(again, 0.99), 2),
        **_told(world, others, 240.0),
    }


def overload(cluster: Cluster, seed: int) -> dict[str, Any]:
    """For two minutes a third more comes than all slots can take; then it is an ordinary day again."""
    world = Simulation(cluster, seed)
    room = cluster.workers * cluster.slots / _ANSWER
    usual = poisson(world.random, 0.7 * room, 600.0)
    more = poisson(world.random, 0.63 * room, 180.0, since=60.0)
    world.arrive(merged(usual, more))
    waiting: list[tuple[float, int]] = []

    def look() -> None:
        waiting.append((world.now, world.queue.size))
        if world.now < 600:
            world.at(world.now + 1.0, look)

    world.at(1.0, look)
    world.run(600.0)
    most = max(size for _, size in waiting)
    over = next((when for when, size in waiting if when > 180 and size < 100), None)
    return {
        "waiting_at_most": most,
        "drained_after_s": None if over is None else round(over - 180.0),
        **_told(world, world.turns, 600.0),
    }


WORLDS: dict[str, Callable[[Cluster, int], dict[str, Any]]] = {
    "ordinary": ordinary,
    "rush": rush,
    "greedy": greedy,
    "lost workers": lost_workers,
    "overload": overload,
}


def play(costs: Costs, names: list[str] | None = None, seed: int = 1) -> list[dict[str, Any]]:
    """Let every world pass, with claims as they are and with claims that look at all owners who wait."""
    told = []
    for name in names or list(WORLDS):
        slots = 180 if name == "overload" else 500
        for scanned in (SAMPLED, None):
            given = Costs(**{**costs.__dict__, "scanned": scanned})
            began = time.perf_counter()
            seen = WORLDS[name](Cluster(WORKERS, slots=slots, costs=given), seed)
            told.append(
                {
                    "world": name,
                    "owners_a_claim_looks_at": scanned or "all that wait",
                    **seen,
                    "simulated_in_s": round(time.perf_counter() - began, 1),
                }
            )
    return told


def _told(world: Simulation, turns: list[Turn], seconds: float) -> dict[str, Any]:
    waits = sorted((turn.began if turn.began is not None else world.now) - turn.sent for turn in turns)
    return {
        "turns": len(world.turns),
        "wait_p50_s": round(percentile(waits, 0.5), 4),
        "wait_p99_s": round(percentile(waits, 0.99), 4),
        "wait_max_s": round(waits[-1], 3),
        "not_begun": sum(turn.began is None for turn in turns),
        "owners_waiting_at_most": world.peak_owners,
        "postgres_load_asked": round(world.busy / (seconds * world.cluster.cores), 3),
    }
