"""The queue of many workers as a simulation: its rules are those of the claim's SQL, its costs are measured.

A discrete-event simulation in seconds. Owners send turns; a turn waits until a slot that was woken claims it:
the owner with the fewest running ones first, then the oldest (``claim_sample.sql``, ``claim_fair.sql``), and
none of an owner who has as many running as one may. When more owners wait than a claim looks at, it chooses
here as if it saw them all; what it costs is as it is. Postgres is a station with cores: to accept, to claim
and to store a turn each takes its time there, and a claim the more, the more owners it looks at. Workers that
die stop renewing their leases; a reaper notices, and their turns go back into the queue.

``tests/integration/jobs/test_simulated_queue.py`` compares each choice with that of the SQL.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from shared.jobs.store import SAMPLED


@dataclass(frozen=True)
class Costs:
    """What one turn takes of a core of Postgres, in seconds.

    Attributes:
        claim: of a claim when one owner waits.
        claim_owner: of a claim more, for every owner that it looks at.
        claim_held: of a claim more, for every running job of such an owner: they are counted.
        scanned: owners that a claim looks at, at most; ``None``: all that wait.
    """

    accept: float = 0.0012
    claim: float = 0.0008
    claim_owner: float = 0.000010
    claim_held: float = 0.0000010
    store: float = 0.0014
    scanned: int | None = SAMPLED


@dataclass(frozen=True)
class Cluster:
    """What there is.

    Attributes:
        slots: jobs that one worker runs at once.
        cap: jobs that one owner has running at most.
        cores: of Postgres.
        lease: seconds that a lease lives.
    """

    workers: int
    slots: int = 500
    cap: int = 150
    cores: int = 4
    lease: float = 3.0
    costs: Costs = field(default_factory=Costs)


@dataclass(slots=True)
class Turn:
    """A turn: when it was sent, and how long its model takes."""

    number: int
    owner: int
    sent: float
    takes: float
    ready: float = 0.0
    began: float | None = None
    ended: float | None = None
    attempts: int = 0
    worker: int = -1


class FairQueue:
    """Who is next: the rule of the claim, on owners with their waiting and running jobs."""

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.running: dict[int, int] = {}
        self._waiting: dict[int, list[tuple[float, int, Turn]]] = {}
        self._heads: list[tuple[int, float, int, int]] = []
        self.size = 0

    @property
    def owners(self) -> int:
        """Owners who have something waiting."""
        return len(self._waiting)

    def add(self, turn: Turn) -> None:
        """A turn can be claimed from now on."""
        queue = self._waiting.setdefault(turn.owner, [])
        heapq.heappush(queue, (turn.ready, turn.number, turn))
        self.size += 1
        self._offer(turn.owner)

    def take(self) -> Turn | None:
        """Claim the fairest turn, or nothing."""
        while self._heads:
            running, ready, number, owner = heapq.heappop(self._heads)
            queue = self._waiting.get(owner)
            current = queue and (self.running.get(owner, 0), queue[0][0], queue[0][1])
            if current != (running, ready, number):
                continue  # said before something changed, and said anew since
            assert queue
            if running >= self.cap:
                continue  # offered again when one of its turns ends
            turn = heapq.heappop(queue)[2]
            if not queue:
                del self._waiting[owner]
            self.size -= 1
            self.running[owner] = running + 1
            self._offer(owner)
            return turn
        return None

    def ended(self, owner: int) -> None:
        """One of an owner's turns runs no more."""
        self.running[owner] -= 1
        if not self.running[owner]:
            del self.running[owner]
        self._offer(owner)

    def _offer(self, owner: int) -> None:
        if queue := self._waiting.get(owner):
            ready, number, _ = queue[0]
            heapq.heappush(self._heads, (self.running.get(owner, 0), ready, number, owner))


class Simulation:
    """One run of a cluster; ``arrive`` fills it, ``run`` lets time pass."""

    def __init__(self, cluster: Cluster, seed: int = 1) -> None:
        self.cluster = cluster
        self.random = random.Random(seed)
        self.now = 0.0
        self.queue = FairQueue(cluster.cap)
        self.turns: list[Turn] = []
        self.free = [cluster.slots] * cluster.workers
        self.alive = [True] * cluster.workers
        self.held: list[set[int]] = [set() for _ in range(cluster.workers)]
        self.running = 0
        self.peak_owners = 0
        self.busy = 0.0  # seconds of Postgres's cores
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._cores = [0.0] * cluster.cores
        self._wakes = 0
        self._claiming = [0] * cluster.workers
        self._next = 0

    # Time ---------------------------------------------------------------------------------------------------
    def at(self, when: float, what: Callable[[], None]) -> None:
        """Do something at a time."""
        heapq.heappush(self._events, (when, next(self._order), what))

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until:
            self.now, _, what = heapq.heappop(self._events)
            what()
        self.now = until

    def _postgres(self, takes: float, then: Callable[[], None]) -> None:
        """A statement waits for a core of Postgres, and takes its time there."""
        free = heapq.heappop(self._cores)
        begins = max(free, self.now)
        heapq.heappush(self._cores, begins + takes)
        self.busy += takes
        self.at(begins + takes, then)

    # Turns --------------------------------------------------------------------------------------------------
    def arrive(self, arrivals: Iterator[tuple[float, int, float]]) -> None:
        """Turns are sent: (seconds, owner, seconds that its model takes), in the order of time."""
        first = next(arrivals, None)
        if first is None:
            return
        when, owner, takes = first

        def sent() -> None:
            turn = Turn(len(self.turns), owner, self.now, takes)
            self.turns.append(turn)
            self._postgres(self.cluster.costs.accept, lambda: self._ready(turn))
            self.arrive(arrivals)

        self.at(when, sent)

    def _ready(self, turn: Turn) -> None:
        turn.ready = self.now
        self.queue.add(turn)
        self._wake()

    def _wake(self) -> None:
        """A wake-up reaches a worker that has a free slot; without one it waits in the broker."""
        self._wakes += 1
        self._deliver()

    def _deliver(self) -> None:
        workers = self.cluster.workers
        while self._wakes:
            for step in range(workers):
                worker = (self._next + step) % workers
                if self.alive[worker] and self.free[worker] - self._claiming[worker] > 0:
                    break
            else:
                return
            self._next = worker + 1
            self._wakes -= 1
            self._claiming[worker] += 1
            self._postgres(self._claim_takes(), partial(self._claim, worker))

    def _claim_takes(self) -> float:
        costs, owners = self.cluster.costs, self.queue.owners
        self.peak_owners = max(self.peak_owners, owners)
        seen = owners if costs.scanned is None else min(owners, costs.scanned)
        share = self.running / max(len(self.queue.running), 1)
        return costs.claim + seen * (costs.claim_owner + costs.claim_held * share)

    def _claim(self, worker: int) -> None:
        self._claiming[worker] -= 1
        if not self.alive[worker]:
            self._wake()
            return
        turn = self.queue.take()
        if turn is None:
            self._deliver()
            return
        self.free[worker] -= 1
        self.held[worker].add(turn.number)
        self.running += 1
        turn.attempts += 1
        turn.worker = worker
        turn.began = self.now
        attempt = turn.attempts
        self.at(self.now + turn.takes, lambda: self._answered(turn, worker, attempt))

    def _answered(self, turn: Turn, worker: int, attempt: int) -> None:
        if turn.attempts == attempt and turn.number in self.held[worker]:
            self._postgres(self.cluster.costs.store, lambda: self._stored(turn, worker, attempt))

    def _stored(self, turn: Turn, worker: int, attempt: int) -> None:
        if turn.attempts != attempt or turn.number not in self.held[worker]:
            return  # its worker died in between
        self.held[worker].discard(turn.number)
        self._runs_no_more(turn)
        self.free[worker] += 1
        turn.ended = self.now
        near = self.cluster.cap // 2 - 8
        if self.queue.running.get(turn.owner, 0) >= near and self.queue.size:
            self._wake()  # it may have held others of its owner back
        self._deliver()

    def _runs_no_more(self, turn: Turn) -> None:
        self.running -= 1
        self.queue.ended(turn.owner)

    # Faults -------------------------------------------------------------------------------------------------
    def kill(self, workers: list[int], back_after: float) -> None:
        """Workers die now; others take their places some seconds later."""
        for worker in workers:
            self.alive[worker] = False
            self.free[worker] = 0
            lost, self.held[worker] = self.held[worker], set()
            for number in lost:
                # Watched unrenewed for a whole lease, of which up to a third had passed, by looks that are up
                # to a fifth of one apart.
                looked = 1 + self.random.uniform(-1 / 3, 0) + self.random.uniform(0, 0.4)
                turn = self.turns[number]
                self.at(self.now + self.cluster.lease * looked, partial(self._condemned, turn))
            self.at(self.now + back_after, partial(self._back, worker))

    def _condemned(self, turn: Turn) -> None:
        self._runs_no_more(turn)
        self._ready(turn)

    def _back(self, worker: int) -> None:
        self.alive[worker] = True
        self.free[worker] = self.cluster.slots
        self._deliver()
