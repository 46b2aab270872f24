"""What the tests of jobs stand on: the machinery, people who own jobs, and looks into both stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.jobs.accept import accept_turn, insert_job
from shared.jobs.cancellation import Canceller
from shared.jobs.closing import Closer
from shared.jobs.event_data import opening_event
from shared.jobs.event_log import Entry, EventLog
from shared.jobs.finish import Finished, finish
from shared.jobs.job import Job
from shared.jobs.job_stream import JobStream
from shared.jobs.leases import Leases
from shared.jobs.messages import Reply
from shared.jobs.new_turn import Acceptance, Basis, NewTurn, Once
from shared.jobs.reaper import Reaper
from shared.jobs.states import JobKind, Outcome, Phase, Status
from shared.jobs.store import JobStore
from shared.jobs.sweep import Sweep
from shared.jobs.writer import EventWriter
from shared.schemas.events import EventType
from shared.security.secrets import KeyedHash
from shared.settings import Settings

#: The worker that tests claim as.
WORKER = "worker of the test"


class WakeupLog:
    """The twin of :class:`shared.jobs.wakeups.Wakeups` that keeps the messages instead of sending them."""

    def __init__(self) -> None:
        self.sent: list[tuple[JobKind, UUID | None]] = []
        self.queued: Counter[JobKind] = Counter()
        #: Jobs whose end monitors were to be told.
        self.reported: list[tuple[JobKind, UUID]] = []

    async def send(self, kind: JobKind, job_id: UUID | None, count: int = 1) -> bool:
        self.sent += [(kind, job_id)] * count
        self.queued[kind] += count
        return True

    async def report(self, kind: JobKind, job_id: UUID) -> None:
        self.reported.append((kind, job_id))

    async def waiting(self, kind: JobKind) -> int:
        return self.queued[kind]

    def take(self, kind: JobKind) -> bool:
        """A worker takes a message, if there is one."""
        if not self.queued[kind]:
            return False
        self.queued[kind] -= 1
        return True

    def close(self) -> None:
        pass

    @property
    def woken(self) -> list[UUID | None]:
        return [job_id for _, job_id in self.sent]


class Clock:
    """A monotonic clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


def anything(_: Basis) -> None:
    """The check of a caller who does not mind."""


class House:
    """The machinery of one process, on given servers."""

    def __init__(self, engine: AsyncEngine, redis: Redis, settings: Settings) -> None:
        self.engine = engine
        self.redis = redis
        self.settings = settings
        self.clock = Clock()
        self.wakeups = WakeupLog()
        self.store = JobStore(engine, settings.owner_running)
        self.log = EventLog(redis, settings.namespace)
        self.leases = Leases(redis, settings.namespace, settings.lease_ttl)
        wakeups: Any = self.wakeups
        self.closer = Closer(self.store, self.log, wakeups, "closer", settings.event_retention)
        self.canceller = Canceller(self.store, self.leases, redis, self.closer, settings.namespace)
        self.reaper = Reaper(self.store, self.leases, wakeups, self.clock)
        self.sweep = Sweep(self.store, self.leases, wakeups, self.canceller, settings)
        self.ada: UUID

    def writer(self) -> EventWriter:
        """A writer for a worker; the test drives its trips."""
        return EventWriter(
            self.log,
            self.store.holds,
            trip_bytes=self.settings.trip_bytes,
            pending_bytes=self.settings.pending_bytes,
            lease_ttl=self.settings.lease_ttl,
        )

    # People and what they ask for -----------------------------------------------------------------------

    async def owner(self, user_id: UUID | None = None) -> UUID:
        """Somebody, who becomes ``ada`` if nobody was before."""
        made = user_id or uuid4()
        async with self.engine.begin() as connection:
            await connection.execute(
                text("INSERT INTO users (id, name, is_admin) VALUES (:id, :name, false)"),
                {"id": made, "name": str(made)},
            )
        if not hasattr(self, "ada"):
            self.ada = made
        return made

    def turn(self, **given: Any) -> NewTurn:
        """A turn of ada's, which brings its provider along."""
        return NewTurn(**{"owner_id": self.ada, "message": "Hello?", "own_provider": True, **given})

    async def accept(self, **given: Any) -> Acceptance:
        return await accept_turn(self.engine, self.turn(**given), anything)

    async def accepted(self, **given: Any) -> Job:
        return (await self.accept(**given)).job

    def once(self, key: str = "key", body: bytes = b"body") -> Once:
        return Once(route="POST /api/chat", key=key, body_hash=KeyedHash(body.ljust(32, b".")))

    async def queue(self, owner: UUID, *, kind: JobKind = JobKind.CHAT, **columns: Any) -> Job:
        """A job without a conversation, queued."""
        given = {"id": uuid4(), "kind": kind, "owner_id": owner, "phase": Phase.READY, "payload": {}}
        async with self.engine.begin() as connection:
            return await insert_job(connection, **(given | columns))

    # What workers do --------------------------------------------------------------------------------------

    async def claim(self, kind: JobKind = JobKind.CHAT, worker: str = WORKER) -> Job:
        job = await self.store.claim(kind, worker)
        assert job is not None, "there was nothing to claim"
        return job

    async def claimed(self, **given: Any) -> Job:
        """A turn, accepted and claimed."""
        accepted = await self.accepted(**given)
        job = await self.claim()
        assert job.id == accepted.id
        return job

    async def lose(self, job: Job) -> Job:
        """The attempt's worker was lost, and somebody noticed."""
        released = await self.store.make_claimable(job.id, job.attempt, Outcome.LOST)
        assert released is not None
        return released

    async def end(self, job: Job, status: Status = Status.SUCCEEDED, **given: Any) -> Finished:
        """Commit what the attempt came to."""
        options: dict[str, Any] = {
            "status": status,
            "reply": Reply(content="Because."),
            "message_id": uuid4(),
            "next_seq": 1,
            **given,
        }
        return await finish(self.store, job, **options)

    async def tell(self, writer: EventWriter, stream: JobStream, job: Job, *texts: str) -> None:
        """Emit the opening event, if it has not been, and chunks; send all of it."""
        if not len(stream):
            stream.emit(*opening_event(job))
        for said in texts:
            stream.emit(EventType.CHUNK, {"content": said, "thinking": "", "tool_calls": None})
        while await writer.trip():
            pass

    # Looks ------------------------------------------------------------------------------------------------

    async def job(self, job_id: UUID) -> Job:
        found = await self.store.get(job_id)
        assert found is not None
        return found

    async def entries(self, job_id: UUID) -> list[Entry]:
        return await self.log.after(job_id, None)

    async def ids(self, job_id: UUID) -> list[str]:
        return [str(entry.id) for entry in await self.entries(job_id)]

    async def types(self, job_id: UUID) -> list[str]:
        return [entry.type for entry in await self.entries(job_id)]

    async def rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        async with self.engine.connect() as connection:
            found = await connection.execute(text(sql), parameters)
            return [dict(row) for row in found.mappings()]

    async def row(self, sql: str, **parameters: Any) -> dict[str, Any]:
        [row] = await self.rows(sql, **parameters)
        return row

    async def do(self, sql: str, **parameters: Any) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(text(sql), parameters)

    async def attempts(self, job_id: UUID) -> Mapping[int, str | None]:
        rows = await self.rows(
            "SELECT attempt, outcome FROM attempts WHERE job_id = :id ORDER BY attempt", id=job_id
        )
        return {row["attempt"]: row["outcome"] for row in rows}

    async def messages(self, conversation_id: UUID) -> list[dict[str, Any]]:
        return await self.rows(
            "SELECT * FROM messages WHERE conversation_id = :id ORDER BY created_at, id", id=conversation_id
        )
