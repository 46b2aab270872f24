"""What the statements of the queue cost, on a database that holds many conversations and runs many jobs."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

import psutil
import psycopg
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.engine import create_engine
from shared.jobs.states import JobKind
from shared.jobs.store import JobStore
from tests.benchmarks.percentiles import percentile

_PREFIX = "20000000-0000-4000-8000-"
_JOBS = f"""
INSERT INTO jobs (id, kind, owner_id, phase, status, attempt, failures, on_disconnect, parent_given,
                  payload, ready_at, started_at)
SELECT gen_random_uuid(), 'chat', ('{_PREFIX}' || lpad(to_hex(1 + n %% %(owners)s::int), 12, '0'))::uuid,
       %(phase)s::text, %(status)s::text, %(attempt)s::int, 0, 'continue', false,
       '{{"model": "llama3.2", "chat_controls": {{}}}}',
       clock_timestamp(), CASE WHEN %(attempt)s::int > 0 THEN clock_timestamp() END
FROM generate_series(1, %(count)s::int) n
"""
_USERS = f"""
INSERT INTO users (id, name, is_admin)
SELECT ('{_PREFIX}' || lpad(to_hex(n), 12, '0'))::uuid, 'busy-' || n, false
FROM generate_series(1, %(owners)s::int) n ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True)
class Measured:
    """Milliseconds that a statement took, for whoever waited for it, and of Postgres's cores.

    What it takes of the cores hardly depends on what else the machine does; for claims what puts the job back
    is in it (about 0.3 ms).
    """

    what: str
    owners: int
    running: int
    queued: int
    claimers: int
    p50_ms: float
    p99_ms: float
    a_second: float
    cpu_ms: float | None = None

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def load(connection: psycopg.Connection, owners: int, running: int, queued: int) -> None:
    """Have so many jobs run and wait, of so many owners, and nothing else."""
    connection.execute("DELETE FROM jobs WHERE phase <> 'ended'")
    connection.execute(_USERS, {"owners": owners})
    for phase, status, attempt, count in (("held", "running", 1, running), ("ready", "queued", 0, queued)):
        connection.execute(
            _JOBS,
            {"owners": owners, "phase": phase, "status": status, "attempt": attempt, "count": count},
        )
    connection.execute("VACUUM (ANALYZE) jobs")


async def measure(
    url: str,
    postmaster: int,
    *,
    owners: int,
    running: int,
    queued: int,
    claimers: int,
    seconds: float,
    cap: int = 150,
) -> list[Measured]:
    """Let claimers claim and end jobs for some time; then measure what is asked about the queue as a whole.

    As many jobs as are ended are put into the queue, so that it stays as it is.
    """
    engine = create_engine(url, pool_size=claimers + 1)
    store = JobStore(engine, owner_running=cap)
    took: list[float] = []
    until = 0.0

    async def claimer(name: str) -> None:
        while time.perf_counter() < until:
            began = time.perf_counter()
            job = await store.claim(JobKind.CHAT, name)
            took.append(time.perf_counter() - began)
            if job is None:
                break
            async with engine.begin() as connection:
                await connection.exec_driver_sql(
                    "UPDATE jobs SET phase = 'ready', status = 'queued', ready_at = clock_timestamp() "
                    "WHERE id = %s",
                    (job.id,),
                )

    try:
        await asyncio.gather(*(_connected(engine) for _ in range(claimers)))
        spent = cpu_seconds(postmaster)
        until = time.perf_counter() + seconds
        await asyncio.gather(*(claimer(f"claimer-{number}") for number in range(claimers)))
        state = {"owners": owners, "running": running, "queued": queued}
        spent = cpu_seconds(postmaster) - spent
        each = 1000 * spent / len(took)
        found = [_measured("claim", took, seconds, claimers=claimers, cpu_ms=each, **state)]
        anyone = uuid.UUID(_PREFIX + f"{1:012x}")
        asked: list[tuple[str, Callable[[], Awaitable[Any]]]] = [
            ("runnable (sweep)", store.runnable),
            ("has_ready (end of a job)", lambda: store.has_ready(JobKind.CHAT, anyone)),
            ("held (lease watch)", store.held),
        ]
        for what, ask in asked if claimers == 1 else ():
            times = []
            for _ in range(20):
                began = time.perf_counter()
                await ask()
                times.append(time.perf_counter() - began)
            found.append(_measured(what, times, sum(times), claimers=1, **state))
        return found
    finally:
        await engine.dispose()


def cpu_seconds(postmaster: int) -> float:
    """What the server's processes have used of the cores."""
    total = 0.0
    for process in psutil.Process(postmaster).children(recursive=True):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total


async def _connected(engine: AsyncEngine) -> None:
    """Have a connection in the pool: as many as ask at the same time."""
    async with engine.connect() as connection:
        await connection.exec_driver_sql("SELECT pg_sleep(0.05)")


def _measured(what: str, times: list[float], seconds: float, **state: Any) -> Measured:
    ordered = sorted(times)
    return Measured(
        what=what,
        p50_ms=1000 * percentile(ordered, 0.5),
        p99_ms=1000 * percentile(ordered, 0.99),
        a_second=len(times) / seconds,
        **state,
    )
