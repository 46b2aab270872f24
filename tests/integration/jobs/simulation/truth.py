"""What is stored, seen from outside; and the promises that it must keep at every moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
import redis as redis_sync
from psycopg.rows import dict_row

from shared.jobs.event_log import Entry, parse_published
from shared.jobs.job import parse_lease_member
from shared.schemas.events import EventId
from tests.integration.jobs.simulation.handler import Generated
from tests.integration.jobs.simulation.process import BARRIER


class PromiseBroken(AssertionError):
    """A promise of the protocol was not kept."""


@dataclass
class Picture:
    """Everything that is stored, at one moment."""

    jobs: dict[UUID, dict[str, Any]]
    attempts: dict[tuple[UUID, int], dict[str, Any]]
    answers: dict[UUID, list[dict[str, Any]]]
    questions: dict[UUID, dict[str, Any]]
    streams: dict[UUID, list[Entry]]
    leases: dict[str, float]


@dataclass
class Memory:
    """What was seen before, to compare with."""

    attempts: dict[UUID, int] = field(default_factory=dict)
    answered: dict[UUID, tuple[UUID | None, str]] = field(default_factory=dict)
    #: Answers that were seen before.
    seen: set[UUID] = field(default_factory=set)
    outcomes: dict[tuple[UUID, int], str] = field(default_factory=dict)
    #: Expiry of each lease, and when it changed last.
    leases: dict[str, tuple[float, float]] = field(default_factory=dict)
    #: When each attempt was first seen.
    begun: dict[tuple[UUID, int], float] = field(default_factory=dict)
    #: Ids told of each job since Redis last lost something.
    told: dict[UUID, EventId] = field(default_factory=dict)


class Truth:
    """Looks at both servers on connections of its own, and judges."""

    def __init__(self, database_url: str, redis_url: str, namespace: str, ttl: float) -> None:
        self.postgres = psycopg.connect(
            database_url.replace("+psycopg", "", 1), autocommit=True, row_factory=dict_row
        )
        self.redis = redis_sync.Redis.from_url(redis_url)
        self.namespace = namespace
        self.ttl = ttl
        self.channels = self.redis.pubsub(ignore_subscribe_messages=True)
        self.channels.psubscribe(f"{namespace}:live:*")
        self.memory = Memory()

    def empty(self) -> None:
        """Begin with nothing."""
        self.redis.flushall()
        self.redis.script_flush()
        self.postgres.execute("TRUNCATE users CASCADE")
        while self.channels.get_message() is not None:
            pass
        self.memory = Memory()

    def close(self) -> None:
        self.channels.close()
        self.redis.close()
        self.postgres.close()

    def look(self) -> Picture:
        jobs = {row["id"]: row for row in self.postgres.execute("SELECT * FROM jobs")}
        attempts = {
            (row["job_id"], row["attempt"]): row for row in self.postgres.execute("SELECT * FROM attempts")
        }
        answers: dict[UUID, list[dict[str, Any]]] = {job_id: [] for job_id in jobs}
        questions = {}
        for row in self.postgres.execute("SELECT * FROM messages ORDER BY created_at"):
            if row["role"] == "assistant":
                answers[row["job_id"]].append(row)
            else:
                questions[row["id"]] = row
        with self.redis.pipeline(transaction=False) as pipeline:
            for job_id in jobs:
                pipeline.xrange(f"{self.namespace}:events:{job_id}")
            pipeline.zrange(f"{self.namespace}:leases", 0, -1, withscores=True)
            *streams, leases = pipeline.execute()
        return Picture(
            jobs,
            attempts,
            answers,
            questions,
            {job_id: [_entry(*raw) for raw in stream] for job_id, stream in zip(jobs, streams, strict=True)},
            {member.decode(): score for member, score in leases},
        )

    def told(self) -> list[tuple[UUID, list[Entry]]]:
        """What was published since the last look."""
        heard = []
        while (message := self.channels.get_message()) is not None:
            if message["type"] == "pmessage" and message["data"] != BARRIER:
                heard.append(
                    (UUID(message["channel"].decode().rsplit(":", 1)[1]), parse_published(message["data"]))
                )
        return heard

    def forget_what_was_told(self) -> None:
        """Redis lost something: what comes again is a refill."""
        self.told()
        self.memory.told.clear()

    def check(self, now: float, generated: Generated) -> Picture:
        """Look, and compare with the promises and with what was seen before.

        Raises:
            PromiseBroken: which one, of which job.
        """
        picture = self.look()
        self._check_rows(picture, now, generated)
        self._check_streams(picture)
        self._check_told()
        return picture

    def _check_rows(self, picture: Picture, now: float, generated: Generated) -> None:
        memory = self.memory
        active: dict[UUID, UUID] = {}
        for job_id, job in picture.jobs.items():
            if job["phase"] in ("ready", "held") and job["conversation_id"] is not None:
                other = active.setdefault(job["conversation_id"], job_id)
                _keep(other == job_id, "one active turn a conversation", job_id)
            before = memory.attempts.get(job_id, 0)
            _keep(job["attempt"] in (before, before + 1), f"attempts go up by one ({before})", job_id)
            memory.attempts[job_id] = job["attempt"]
            recorded = sum(1 for id_, _ in picture.attempts if id_ == job_id)
            _keep(recorded == job["attempt"], "every attempt is recorded", job_id)
            _keep(job["phase"] != "ended" or job["secret"] is None, "secrets go with the end", job_id)
            self._check_answers(job, picture.answers[job_id], generated)
        _keep(memory.attempts.keys() <= picture.jobs.keys(), "accepted jobs stay", None)
        for member, score in picture.leases.items():
            if memory.leases.get(member, (None, 0))[0] != score:
                memory.leases[member] = (score, now)
        for key, attempt in picture.attempts.items():
            memory.begun.setdefault(key, now)
            outcome = attempt["outcome"]
            if outcome == memory.outcomes.get(key):
                continue
            _keep(key not in memory.outcomes, "an attempt ends once", key)
            memory.outcomes[key] = outcome
            if outcome == "lost":
                member = f"{key[0]}:{key[1]}"
                _, renewed = memory.leases.get(member, (0, memory.begun[key]))
                _keep(now - renewed >= self.ttl, f"renewed {now - renewed} s before it was condemned", key)

    def _check_answers(
        self, job: dict[str, Any], answers: list[dict[str, Any]], generated: Generated
    ) -> None:
        job_id = job["id"]
        ids = {answer["id"] for answer in answers}
        _keep(job["message_id"] is None or job["message_id"] in ids, "the answer is there", job_id)
        for answer in answers:
            if answer["id"] not in self.memory.seen:
                self.memory.seen.add(answer["id"])
                mine = answer["details"]["attempt"] == job["attempt"]
                _keep(mine, "only who holds the job commits", job_id)
        if job["status"] == "succeeded":
            _keep(job["message_id"] is not None, "a success has its answer", job_id)
            [answer] = [one for one in answers if one["id"] == job["message_id"]]
            said = generated.texts.get((job_id, answer["details"]["attempt"]))
            _keep(said is not None, "the answer was generated", job_id)
            _keep(answer["content"] == "".join(said or ()), "the stored text is all that was said", job_id)
            stored = (answer["id"], answer["content"])
            _keep(self.memory.answered.setdefault(job_id, stored) == stored, "an answer stays", job_id)
            marked, finished = job["cancel_requested_at"], job["finished_at"]
            _keep(marked is None or marked >= finished, "the commit looks at the mark", job_id)
        else:
            _keep(job_id not in self.memory.answered, "an answered job stays answered", job_id)
        attempts = [answer["details"]["attempt"] for answer in answers]
        _keep(len(set(attempts)) == len(attempts), "an attempt stores one answer", job_id)

    def _check_streams(self, picture: Picture) -> None:
        for job_id, stream in picture.streams.items():
            before = None
            for one in stream:
                expected = (
                    one.id.seq == 0
                    if before is None or one.id.attempt != before.attempt
                    else (one.id == before.successor)
                )
                _keep(expected, f"no holes: {one.id} after {before}", job_id)
                _keep(before is None or one.id > before, f"in order: {one.id} after {before}", job_id)
                before = one.id
            newest = picture.jobs[job_id]["attempt"]
            _keep(before is None or before.attempt <= newest, "only attempts of the row write", job_id)

    def _check_told(self) -> None:
        for job_id, entries in self.told():
            for one in entries:
                before = self.memory.told.get(job_id)
                _keep(before is None or one.id > before, f"told once: {one.id} after {before}", job_id)
                self.memory.told[job_id] = one.id

    def keeps_all_of(self, picture: Picture, member: str, events: int) -> None:
        """The stream of a running attempt holds all of its ``events``, unless a newer attempt writes."""
        job_id, attempt = parse_lease_member(member)
        stream = picture.streams[job_id]
        last = stream[-1].id if stream else EventId(0, 0)
        _keep(
            last.attempt > attempt or last == EventId(attempt, events - 1),
            f"what Redis lost is refilled: {last} of {events} events of attempt {attempt}",
            job_id,
        )


def _keep(kept: bool, promise: str, job: Any) -> None:
    if not kept:
        raise PromiseBroken(f"{promise} (job {job})")


def _entry(raw_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    attempt, seq = raw_id.split(b"-")
    return Entry(EventId(int(attempt), int(seq)), fields[b"t"].decode(), fields[b"d"])
