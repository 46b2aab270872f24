"""Jobs in Postgres: reading them, claiming them, and writing as the holder of an attempt."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import direct
from shared.errors import SessionNotFoundError
from shared.jobs.job import Job
from shared.jobs.statements import as_json, sql, statement
from shared.jobs.states import JobKind, Outcome, Phase, PostResponse, Status

CLAIM_FAIR = sql("claim_sample") + sql("claim_fair")
CLAIM_BEHIND = sql("claim_sample") + sql("claim_behind")
_CLAIM_PICKED = sql("claim_picked")
_RUNNABLE = statement("runnable")
_HELD_BACK = statement("held_back")
_POSITION = statement("queue_position")
_TAKE = statement("take_attempt")
_MAKE_CLAIMABLE = statement("make_claimable")
_ACTIVATE = statement("activate_next")
_END_JOB = statement("end_job")
_END_ATTEMPT = statement("end_attempt")
_GET = text("SELECT * FROM jobs WHERE id = :job_id")
_LOCK_CONVERSATION = text("SELECT id FROM conversations WHERE id = :conversation_id FOR UPDATE")
_LOCK_JOB = text("SELECT * FROM jobs WHERE id = :job_id FOR UPDATE")
_HOLDS = text("SELECT 1 FROM jobs WHERE id = :job_id AND attempt = :attempt AND phase = 'held'")
_HELD = text("SELECT id, attempt FROM jobs WHERE phase = 'held'")
_MARKED = text("SELECT * FROM jobs WHERE cancel_requested_at IS NOT NULL AND phase <> 'ended' LIMIT 500")

#: Owners among whom a claim chooses, at most: enough that the choice is fair, and few enough that a rush of
#: thousands does not make claims dear.
SAMPLED = 64
#: Without a limit: more than there will ever be.
UNLIMITED = 2**31 - 1
#: A job that ends wakes the next one of its owner when half of what the owner may have was running, less
#: these: of jobs that end in the same moment none may see the others, and each must know that it ended near
#: the limit.
_TOGETHER = 8


class AttemptLostError(Exception):
    """The attempt is no longer the job's newest, or the job has ended: whoever holds it must stop."""


@dataclass(frozen=True, slots=True)
class Activated:
    """A waiting turn that became claimable when the turn before it ended."""

    job_id: UUID
    kind: JobKind


@dataclass(frozen=True, slots=True)
class Along:
    """What a claim brings along: read in the claim's own round trip, it costs the turn a fifth of what it
    would alone.

    Attributes:
        query: SQL of one row with one column ``brought``; ``claimed`` is the job's row in it.
        parameters: its parameters; ``kind`` and ``worker`` are the claim's.
    """

    query: str
    parameters: Mapping[str, Any]


class FencedTransaction:
    """A transaction of the holder of an attempt: conversation and job are locked, the attempt is checked."""

    def __init__(self, connection: direct.DirectConnection, job: Job, many: int = 0) -> None:
        self.connection = connection
        self.job = job
        self._many = many
        #: Whether this job ended while its owner had so many running that others may have been held back.
        self.of_many = False
        #: What was activated because this job ended; to be woken after the commit.
        self.activated: Activated | None = None

    async def end(
        self,
        *,
        status: Status,
        phase: Phase = Phase.ENDED,
        post_response: PostResponse | None = None,
        outcome: dict[str, Any] | None = None,
        error: dict[str, Any] | None = None,
        message_id: UUID | None = None,
        final_seq: int | None = None,
    ) -> Job:
        """Write what came of the job; in phase ``ended`` the next turn of the conversation is activated."""
        ended = self.connection.later(
            _END_JOB,
            {
                "job_id": self.job.id,
                "attempt": self.job.attempt,
                "status": status,
                "phase": phase,
                "post_response": post_response,
                "outcome": as_json(outcome),
                "error": as_json(error),
                "message_id": message_id,
                "final_seq": final_seq,
                "many": self._many,
            },
        )
        if phase is Phase.ENDED:
            self._end_attempt(status)
            self.activated = await activate_next(self.connection, self.job.conversation_id)
        await self.connection.flush()
        row = ended.rows.mappings().one()
        self.job, self.of_many = Job.from_row(row), row["many"]
        return self.job

    def _end_attempt(self, status: Status) -> None:
        self.connection.later(
            _END_ATTEMPT,
            {"job_id": self.job.id, "attempt": self.job.attempt, "outcome": Outcome(status.value)},
        )


@functools.cache
def claim_statement(picked: str, along: str | None) -> TextClause:
    """The claim of the job that ``picked`` finds, with what ``along`` reads of it."""
    behind = "" if along is None else f" CROSS JOIN LATERAL ({along}) along"
    columns = "claimed.*" if along is None else "claimed.*, along.brought"
    return text(f"{picked},\n{_CLAIM_PICKED}\nSELECT {columns} FROM claimed{behind}")


class JobStore:
    """Jobs in Postgres.

    Args:
        engine: Postgres.
        owner_running: most jobs of a kind that one owner has running; 0: any number.
    """

    def __init__(self, engine: AsyncEngine, owner_running: int = 0) -> None:
        self.engine = engine
        self._owner_running = owner_running or UNLIMITED
        self._many = max(owner_running // 2 - _TOGETHER, 1) if owner_running else 0

    async def get(self, job_id: UUID) -> Job | None:
        """The job as it stands, or ``None``."""
        row = (await direct.execute(self.engine, _GET, {"job_id": job_id})).mappings().first()
        return None if row is None else Job.from_row(row)

    async def owned(self, job_id: UUID, owner_id: UUID) -> Job:
        """The job, when ``owner_id`` owns it.

        Raises:
            SessionNotFoundError: there is none, or it is somebody else's.
        """
        job = await self.get(job_id)
        if job is None or job.owner_id != owner_id:
            raise SessionNotFoundError("There is no such session.")
        return job

    async def claim(self, kind: JobKind, worker: str, along: Along | None = None) -> Job | None:
        """Take the next attempt at the fairest runnable job of ``kind``; ``None`` when there is none.

        The owner with the fewest running jobs of the kind comes first, then the oldest job; one who has
        ``owner_running`` of them is passed over. When more than ``SAMPLED`` owners wait, it is so among as
        many of them, beginning at a random one. What ``along`` reads is the job's ``brought``.
        """
        parameters = {
            "kind": kind,
            "worker": worker,
            "owner_running": self._owner_running,
            "sampled": SAMPLED,
            "place": uuid4(),
            **(along.parameters if along else {}),
        }
        for picked in (CLAIM_FAIR, CLAIM_BEHIND):
            query = claim_statement(picked, along.query if along else None)
            row = (await direct.execute(self.engine, query, parameters)).mappings().first()
            if row is not None:
                return Job.from_row(row, brought=row["brought"] if along else None)
        return None

    async def holds(self, job_id: UUID, attempt: int) -> bool:
        """Whether ``attempt`` is the job's newest and the job is held by it."""
        found = await direct.execute(self.engine, _HOLDS, {"job_id": job_id, "attempt": attempt})
        return found.first() is not None

    async def take(self, job: Job, worker: str) -> Job | None:
        """Take an attempt at ``job`` to end it, when it is still as it was read; ``None`` otherwise."""
        parameters = {"job_id": job.id, "attempt": job.attempt, "worker": worker}
        row = (await direct.execute(self.engine, _TAKE, parameters)).mappings().first()
        return None if row is None else Job.from_row(row)

    @asynccontextmanager
    async def fenced(self, job: Job) -> AsyncIterator[FencedTransaction]:
        """A transaction for the holder of ``job.attempt``; locks conversation, then job.

        Raises:
            AttemptLostError: another attempt was handed out, or the job has ended.
        """
        async with direct.begin(self.engine) as connection:
            await lock_conversation(connection, job.conversation_id)
            row = (await connection.execute(_LOCK_JOB, {"job_id": job.id})).mappings().first()
            now = None if row is None else Job.from_row(row)
            if now is None or now.attempt != job.attempt or now.phase is not Phase.HELD:
                raise AttemptLostError(job.lease)
            yield FencedTransaction(connection, now, self._many)

    async def make_claimable(
        self,
        job_id: UUID,
        attempt: int,
        outcome: Outcome,
        *,
        counts: bool = True,
        failure: dict[str, Any] | None = None,
    ) -> Job | None:
        """Give up ``attempt``: anybody may claim the job again; ``None`` when it was not held by it.

        Args:
            job_id: the job.
            attempt: the attempt that is given up, or condemned.
            outcome: how it ended.
            counts: whether it is one of the failures that are capped.
            failure: what happened, kept with the job.
        """
        row = await direct.execute(
            self.engine,
            _MAKE_CLAIMABLE,
            {
                "job_id": job_id,
                "attempt": attempt,
                "outcome": outcome,
                "failures": int(counts),
                "failure": as_json(failure),
            },
        )
        released = row.mappings().first()
        return None if released is None else Job.from_row(released)

    async def runnable(self) -> dict[JobKind, int]:
        """How many jobs of each kind could be claimed now, one after the other."""
        rows = await direct.execute(self.engine, _RUNNABLE, {"owner_running": self._owner_running})
        return {JobKind(kind): count for kind, count in rows}

    async def has_ready(self, kind: JobKind, owner_id: UUID) -> bool:
        """Whether ``owner_id`` has a job of ``kind`` that waits for a worker."""
        found = await direct.execute(self.engine, _HELD_BACK, {"kind": kind, "owner_id": owner_id})
        return bool(found.scalar())

    async def held(self) -> list[tuple[UUID, int]]:
        """Every held job with its attempt."""
        return [(job_id, attempt) for job_id, attempt in await direct.execute(self.engine, _HELD)]

    async def marked(self) -> list[Job]:
        """The jobs that somebody asked to cancel and that have not ended."""
        rows = (await direct.execute(self.engine, _MARKED)).mappings()
        return [Job.from_row(row) for row in rows]

    async def queue_position(self, job_id: UUID) -> int | None:
        """How many jobs are before it; ``None`` when it does not wait."""
        return (await direct.execute(self.engine, _POSITION, {"job_id": job_id})).scalar()


async def lock_conversation(connection: direct.Connection, conversation_id: UUID | None) -> None:
    """Take the lock on a conversation; it comes before the locks on its jobs."""
    if conversation_id is not None:
        await direct.write(connection, _LOCK_CONVERSATION, {"conversation_id": conversation_id})


async def activate_next(connection: direct.Connection, conversation_id: UUID | None) -> Activated | None:
    """Make the oldest waiting turn of the conversation claimable, if none is active.

    Runs under the lock on the conversation.
    """
    if conversation_id is None:
        return None
    row = (await connection.execute(_ACTIVATE, {"conversation_id": conversation_id})).first()
    return None if row is None else Activated(row.id, JobKind(row.kind))
