"""A job's events in Redis: a stream with explicit ids, and a channel on which the same entries are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from redis.asyncio import Redis

from shared.jobs.statements import script
from shared.schemas.events import EventId, EventType

#: A stream whose job nobody ends (its Postgres was restored, say) goes away after this many seconds.
ABANDONED = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Entry:
    """One event: its id, its type, and its data as the JSON that clients get."""

    id: EventId
    type: str
    data: bytes

    @property
    def shown(self) -> bool:
        """Whether clients see it."""
        return self.type != EventType.FENCE

    def payload(self) -> dict[str, Any]:
        """The data, decoded."""
        decoded: dict[str, Any] = orjson.loads(self.data)
        return decoded

    def frame(self) -> bytes:
        """The event as Server-Sent Events spell it."""
        return b"id: %d-%d\nevent: %b\ndata: %b\n\n" % (*self.id, self.type.encode(), self.data)


class EventLog:
    """The event streams of all jobs."""

    def __init__(self, redis: Redis, namespace: str) -> None:
        self.redis = redis
        self.namespace = namespace
        self.append_script = script("append_events")
        self._append = redis.register_script(self.append_script)

    def stream(self, job_id: UUID) -> str:
        """The key of the job's stream."""
        return f"{self.namespace}:events:{job_id}"

    def channel(self, job_id: UUID) -> str:
        """The channel on which the job's entries are told."""
        return f"{self.namespace}:live:{job_id}"

    def append_arguments(
        self, job_id: UUID, first: EventId, may_create: bool, entries: Sequence[tuple[bytes, bytes]]
    ) -> tuple[str, list[Any]]:
        """Key and arguments of the append script for ``entries`` (type, data), the first under ``first``."""
        arguments: list[Any] = [
            self.channel(job_id),
            first.attempt,
            first.seq,
            int(may_create),
            ABANDONED,
        ]
        for entry in entries:
            arguments.extend(entry)
        return self.stream(job_id), arguments

    async def append(
        self, job_id: UUID, first: EventId, may_create: bool, entries: Sequence[tuple[bytes, bytes]]
    ) -> EventId | bool | None:
        """Append and publish ``entries``, all or none.

        Returns:
            True when it was done; else the stream's last id, or ``None`` when there is no stream.
        """
        key, arguments = self.append_arguments(job_id, first, may_create, entries)
        return appended(await self._append(keys=[key], args=arguments))

    async def last_id(self, job_id: UUID) -> EventId | None:
        """The stream's last id."""
        last: Any = await self.redis.xrevrange(self.stream(job_id), count=1)
        return _id(last[0][0]) if last else None

    async def after(self, job_id: UUID, cursor: EventId | None) -> list[Entry]:
        """The entries after ``cursor``, or all."""
        start = "-" if cursor is None else f"({cursor}"
        entries: Any = await self.redis.xrange(self.stream(job_id), min=start)
        return [_entry(raw_id, fields) for raw_id, fields in entries]

    async def expire(self, job_id: UUID, seconds: int) -> None:
        """Let the stream of an ended job go away after ``seconds``."""
        await self.redis.expire(self.stream(job_id), seconds)

    async def keep(self, job_id: UUID) -> None:
        """Keep the stream of a job that is retried."""
        await self.redis.expire(self.stream(job_id), ABANDONED)


def appended(answer: Any) -> EventId | bool | None:
    """What the append script's ``answer`` means; see :meth:`EventLog.append`."""
    if answer == 1:
        return True
    return _id(answer) if answer else None


def parse_published(message: bytes) -> list[Entry]:
    """The entries in a message of a job's channel."""
    lines = message.split(b"\n")
    return [Entry(_id(lines[i]), lines[i + 1].decode(), lines[i + 2]) for i in range(0, len(lines) - 2, 3)]


def _id(raw: bytes | str) -> EventId:
    attempt, seq = (raw.decode() if isinstance(raw, bytes) else raw).split("-")
    return EventId(int(attempt), int(seq))


def _entry(raw_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    return Entry(_id(raw_id), fields[b"t"].decode(), fields[b"d"])
