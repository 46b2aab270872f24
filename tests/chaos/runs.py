"""Runs of experiments that are broken while they run, and what they have to come to all the same.

The agents of the fake model server say the same to the same question. A run that nobody disturbs therefore
tells what every other run of its configuration has to come to, step for step: :meth:`Whole.compare`.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString

import httpx
import psycopg
from psycopg.rows import dict_row

from tests.chaos.system import System
from tests.support.stack import Process

AGENTS = ("Alice", "Bob", "Carol")
#: Seconds that the model takes to answer.
CALL = 0.03
#: Calls that a run has in flight at most: of every agent one, and what is read of the statements of a round.
IN_FLIGHT = 2 * len(AGENTS)
#: Seconds that a run may take, whatever is done to it.
LONGEST = 90.0
#: Seconds between two looks at how far a run is.
LOOK = 0.005

_STEPS = "SELECT * FROM experiment_steps WHERE experiment_id = %s"
_EVENTS = "SELECT * FROM experiment_events WHERE experiment_id = %s ORDER BY number"
_JOB = "SELECT j.* FROM jobs j JOIN experiments e ON e.job_id = j.id WHERE e.id = %s"
_ATTEMPTS = (
    "SELECT a.* FROM attempts a JOIN experiments e ON e.job_id = a.job_id WHERE e.id = %s ORDER BY a.attempt"
)
_RESULT = "SELECT sha256 FROM experiment_results WHERE experiment_id = %s"
#: How far a run is: its steps that are complete.
_FAR = "SELECT count(*) AS n FROM experiment_steps WHERE experiment_id = %s AND answered_at IS NOT NULL"
_BEGUN = "SELECT count(*) AS n FROM experiment_steps WHERE experiment_id = %s AND path = %s"
_BACKENDS = "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = %s"

#: Events that depend on how often a run was interrupted, and when.
BY_THE_WAY = frozenset({"progress", "resumed"})
#: What a step has in common with the same step of another run of the same configuration.
FACTS = ("kind", "role", "prompt_hash", "schema_name", "outcome", "answer", "value", "unreadable", "model")


def config(seed: int, names: Sequence[str] = AGENTS, *, call: float = CALL, **changes: Any) -> dict[str, Any]:
    """A run of three agents who say what chance has them say, with a vote in its last round at the latest."""
    model = f"fake/agents=chance,first={call}"
    return {
        "agents": [
            {
                "name": name,
                "personality": f"You are {name}.",
                "model": model,
                "reasoning_enabled": name == names[1],
            }
            for name in names
        ],
        "utility_agent_model": model,
        "connection": "fake",
        "phase2_rounds": 3,
        "forced_ballot_last_round": True,
        "seed": seed,
        **changes,
    }


class Database:
    """Reads what Postgres has; waits for one that is away."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("+psycopg", "", 1)
        self._connection: psycopg.AsyncConnection[dict[str, Any]] | None = None

    async def rows(self, query: LiteralString, *values: Any) -> list[dict[str, Any]]:
        """Every row of a query."""
        deadline = time.monotonic() + LONGEST
        while True:
            try:
                if self._connection is None:
                    self._connection = await psycopg.AsyncConnection[dict[str, Any]].connect(
                        self._url, autocommit=True, row_factory=dict_row
                    )
                return await (await self._connection.execute(query, values)).fetchall()
            except psycopg.OperationalError:
                await self.close()
                assert time.monotonic() < deadline, "Postgres stays away"
                await asyncio.sleep(0.1)

    async def row(self, query: LiteralString, *values: Any) -> dict[str, Any]:
        """The row of a query that has one."""
        [row] = await self.rows(query, *values)
        return row

    async def close(self) -> None:
        """Let the connection go."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


@dataclass
class Workers:
    """Workers that can be told from each other by their connections to Postgres."""

    system: System
    names: dict[int, str] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def start(self) -> Process:
        """Start one more."""
        name = f"worker-of-runs-{next(self._numbers)}"
        url = str(self.system.worker_settings.get("database_url", self.system.database_url))
        url += f"{'&' if '?' in url else '?'}application_name={name}"
        settings = {**self.system.worker_settings, "database_url": url}
        worker = await asyncio.to_thread(lambda: self.system.stack.start_worker(**settings))
        self.names[worker.pid] = name
        return worker

    def named(self, worker: str) -> Process:
        """The one that the database calls ``worker``."""
        return next(one for one in self.system.workers if worker.endswith(f":{one.pid}"))

    async def kill(self, worker: Process, database: Database) -> None:
        """SIGKILL; returns when Postgres has done what the worker had told it, and nothing more will come."""
        self.system.kill(worker)
        while (await database.row(_BACKENDS, self.names[worker.pid]))["n"]:
            await asyncio.sleep(LOOK)


@dataclass
class Follower:
    """A client that hangs up again and again, and goes on behind its last event at any gateway."""

    system: System
    http: httpx.AsyncClient
    path: str
    chance: random.Random
    ids: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    connections: int = 0

    async def follow(self) -> None:
        """Until the run has ended."""
        while not await self._read(self.chance.randint(1, 40)):
            pass

    async def _read(self, patience: int) -> bool:
        headers = {"Last-Event-ID": self.ids[-1]} if self.ids else {}
        self.connections += 1
        try:
            url = f"{self.chance.choice(self.system.gateways).url}{self.path}/events"
            async with self.http.stream("GET", url, headers=headers) as answer:
                if answer.status_code == 204:
                    return True
                if answer.status_code != 200:
                    # Postgres may be away.
                    assert answer.status_code == 503, await answer.aread()
                    await asyncio.sleep(0.2)
                    return False
                event: dict[str, str] = {}
                async for line in answer.aiter_lines():
                    if line and not line.startswith(":"):
                        name, _, value = line.partition(": ")
                        event[name] = value
                    elif not line and event:
                        patience -= self._take(event)
                        event = {}
                        if patience <= 0:
                            return False
        except httpx.TransportError:
            await asyncio.sleep(0.1)
        return False

    def _take(self, event: dict[str, str]) -> int:
        if "id" not in event:
            assert event["event"] in ("queued", "error"), event
            return 0
        self.ids.append(event["id"])
        self.types.append(event["event"])
        return 1


@dataclass(frozen=True)
class Recorded:
    """Everything that a run left.

    Attributes:
        requests: that the model server had of it, by the hash of their prompt.
    """

    status: str
    digest: str | None
    job: dict[str, Any]
    steps: dict[str, dict[str, Any]]
    events: list[dict[str, Any]]
    attempts: list[dict[str, Any]]
    requests: Counter[str]
    follower: Follower

    @property
    def calls(self) -> dict[str, dict[str, Any]]:
        """The steps that are calls of a model."""
        return {path: step for path, step in self.steps.items() if step["kind"] == "call"}

    @property
    def outcomes(self) -> list[str]:
        """How its attempts ended."""
        return [attempt["outcome"] for attempt in self.attempts]

    def in_order(self, part: str = "") -> list[str]:
        """The calls whose path has ``part``, in the order of their answers."""
        found = [path for path in self.calls if part in path]
        return sorted(found, key=lambda path: (self.steps[path]["answered_at"], path))

    def told(self) -> dict[str, tuple[Any, ...]]:
        """What it told, by the events' keys; the end is one whatever attempt came to it."""
        return {
            "end" if event["key"].startswith("end/") else event["key"]: (event["type"], event["data"])
            for event in self.events
            if event["type"] not in BY_THE_WAY
        }


@dataclass
class Run:
    """An experiment that runs."""

    runs: Runs
    id: str
    follower: Follower
    following: asyncio.Task[None]
    #: What was recorded, and what was in flight, at every kill.
    recorded: dict[str, dict[str, Any]] = field(default_factory=dict)
    in_flight: Counter[str] = field(default_factory=Counter)
    kills: int = 0

    @property
    def path(self) -> str:
        """Where the API has it."""
        return f"/api/experiments/{self.id}"

    async def until(self, reached: Callable[[], Awaitable[bool]]) -> bool:
        """Whether ``reached`` came true before the run ended."""
        deadline = time.monotonic() + LONGEST
        while not await reached():
            job = await self.runs.database.row(_JOB, self.id)
            if job["phase"] == "ended":
                return False
            assert time.monotonic() < deadline, f"the run did not come so far: {job}"
            await asyncio.sleep(LOOK)
        return True

    async def far(self, steps: int) -> bool:
        """Return when so many steps are complete; whether they were before the run ended."""

        async def reached() -> bool:
            return bool((await self.runs.database.row(_FAR, self.id))["n"] >= steps)

        return await self.until(reached)

    async def begun(self, path: str) -> bool:
        """Return when this step was begun; whether it was before the run ended."""

        async def reached() -> bool:
            return bool((await self.runs.database.row(_BEGUN, self.id, path))["n"])

        return await self.until(reached)

    async def holder(self) -> Process | None:
        """The worker that has the run; ``None`` when it has ended."""
        held: list[str] = []

        async def reached() -> bool:
            job = await self.runs.database.row(_JOB, self.id)
            attempts = await self.runs.database.rows(_ATTEMPTS, self.id)
            if job["phase"] == "held" and attempts and attempts[-1]["finished_at"] is None:
                held.append(attempts[-1]["worker"])
            return bool(held)

        return self.runs.workers.named(held[0]) if await self.until(reached) else None

    async def kill(self) -> bool:
        """Kill the worker that has the run, and note what it left; whether there was one."""
        holder = await self.holder()
        if holder is None:
            return False
        await self.runs.workers.kill(holder, self.runs.database)
        if (await self.runs.database.row(_JOB, self.id))["phase"] == "ended":
            return False
        self.kills += 1
        steps = {step["path"]: step for step in await self.runs.database.rows(_STEPS, self.id)}
        done = {path: step for path, step in steps.items() if step["answered_at"] is not None}
        for path, step in self.recorded.items():
            assert done[path] == step, f"{path} was recorded and has changed"
        self.recorded.update(done)
        self.in_flight.update(steps.keys() - done.keys())
        return True

    async def ended(self) -> Recorded:
        """What it left, when it has ended and its follower has heard of it."""
        async with asyncio.timeout(LONGEST):
            await self.following
        database = self.runs.database
        job = await database.row(_JOB, self.id)
        results = await database.rows(_RESULT, self.id)
        return Recorded(
            job["status"],
            results[0]["sha256"] if results else None,
            job,
            {step["path"]: step for step in await database.rows(_STEPS, self.id)},
            await database.rows(_EVENTS, self.id),
            await database.rows(_ATTEMPTS, self.id),
            _requests(await self.runs.system.stack.model.alog()),
            self.follower,
        )

    def go_on_following(self) -> None:
        """Follow a run that was resumed."""
        self.following = asyncio.create_task(self.follower.follow())


@dataclass
class Runs:
    """Starts runs, one after the other."""

    system: System
    workers: Workers
    http: httpx.AsyncClient
    database: Database
    chance: random.Random

    async def begin(self, config: dict[str, Any], *, alone: bool = True) -> Run:
        """Start one, with a client that follows it; ``alone``: the model forgets what it was asked before."""
        if alone:
            self.system.stack.model.reset()
        accepted = await self.http.post("/api/experiments", json={"config": config})
        assert accepted.status_code == 202, accepted.text
        experiment_id = accepted.json()["experiment_id"]
        follower = Follower(self.system, self.http, f"/api/experiments/{experiment_id}", self.chance)
        return Run(self, experiment_id, follower, asyncio.create_task(follower.follow()))

    async def whole(self, config: dict[str, Any], *, alone: bool = True) -> Whole:
        """A run that nobody disturbs; ``alone``: and beside which there is no other."""
        run = await self.begin(config, alone=alone)
        left = await run.ended()
        assert (left.status, left.outcomes) == ("succeeded", ["succeeded"]), left.job
        assert {step["sends"] for step in left.calls.values()} == {1}
        if alone:
            assert left.requests == Counter(step["prompt_hash"] for step in left.calls.values())
        assert left.events[-1]["type"] == "experiment_finished"
        return Whole(config, left)


@dataclass(frozen=True)
class Whole:
    """A run that nobody disturbed: what every other one of its configuration has to come to."""

    config: dict[str, Any]
    left: Recorded

    def compare(
        self,
        run: Run,
        left: Recorded,
        *,
        known: bool = True,
        provider_fails: bool = False,
        others: bool = False,
    ) -> None:
        """Fail unless a run came to the same, and asked nothing twice that was answered.

        Args:
            run: the one that was broken.
            left: what it left.
            known: whether what was in flight is known of every attempt that did not come to the end.
            provider_fails: whether calls were cut off, so that one was made more often than it was begun.
            others: whether the model was asked by other runs, too, whose agents have other names.
        """
        whole = self.left
        assert left.status == "succeeded", left.job
        assert left.steps.keys() == whole.steps.keys()
        for path, step in left.steps.items():
            for fact in FACTS:
                assert step[fact] == whole.steps[path][fact], f"{fact} of {path}"
        assert left.digest == whole.digest
        self._compare_events(left)
        self._compare_sends(run, left, known, provider_fails, others)

    def _compare_events(self, left: Recorded) -> None:
        assert [event["number"] for event in left.events] == list(range(1, len(left.events) + 1))
        keys = Counter(event["key"] for event in left.events)
        assert set(keys.values()) == {1}
        expected = {key: told for key, told in self.left.told().items() if key != "end"}
        told = {key: told for key, told in left.told().items() if key != "end"}
        assert told == expected
        assert left.events[-1]["type"] == "experiment_finished"
        assert left.events[-1]["data"] == self.left.events[-1]["data"]
        fractions = [event["data"]["fraction"] for event in left.events if event["type"] == "progress"]
        assert fractions == sorted(fractions), "progress goes back"
        # Whoever follows, however often they hang up, hears each event once and in order.
        assert left.follower.ids == [f"{event['attempt']}-{event['number']}" for event in left.events]

    def _compare_sends(
        self, run: Run, left: Recorded, known: bool, provider_fails: bool, others: bool
    ) -> None:
        for path, step in run.recorded.items():
            assert left.steps[path] == step, f"{path} was recorded when a worker was killed, and has changed"
        begun: Counter[str] = Counter()
        steps: Counter[str] = Counter()
        for path, step in left.calls.items():
            if known:
                assert step["sends"] == 1 + run.in_flight[path], path
            # An attempt sends a call once, and none that an earlier one has answered.
            assert 1 <= step["sends"] <= step["attempt"], path
            if others and step["role"] is None:
                # Statements of several runs may be alike, and so may what the utility agent is asked.
                continue
            begun[step["prompt_hash"]] += step["sends"]
            steps[step["prompt_hash"]] += 1
        repeated = begun.total() - steps.total()
        assert repeated <= IN_FLIGHT * (len(left.attempts) - 1)
        if not others:
            assert left.requests.keys() == steps.keys()
        for prompt in steps:
            requests = left.requests[prompt]
            assert requests >= steps[prompt]
            # A worker may be killed after it has noted that it will ask, and before it does.
            assert provider_fails or requests <= begun[prompt]


@asynccontextmanager
async def runs_of(system: System, *, workers: int = 2, seed: int = 0) -> AsyncIterator[Runs]:
    """Workers on ``system``, which has none yet, and runs of its first user."""
    fleet = Workers(system)
    await asyncio.gather(*(fleet.start() for _ in range(workers)))
    database = Database(system.database_url)
    try:
        async with system.users[0].http(timeout=LONGEST) as http:
            yield Runs(system, fleet, http, database, random.Random(seed))
    except BaseException as error:
        error.add_note(f"the logs are in {system.keep()}")
        raise
    finally:
        await database.close()


def _requests(log: list[dict[str, Any]]) -> Counter[str]:
    """How often each prompt was asked, by its hash."""
    found: Counter[str] = Counter()
    for request in log:
        if request["method"] == "POST" and request["path"].endswith("/chat/completions"):
            told = {message["role"]: message["content"] for message in request["body"]["messages"]}
            prompt = f"{told['system']}\0{told['user']}"
            found[hashlib.sha256(prompt.encode()).hexdigest()] += 1
    return found
