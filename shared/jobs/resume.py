"""What a client still has to get: from the stream, or rebuilt from Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from shared.errors import InvalidEventIdError
from shared.jobs.event_data import encode, outcome_events, retold_events
from shared.jobs.event_log import Entry
from shared.jobs.job import Job
from shared.jobs.messages import Reply
from shared.jobs.states import JobKind, Phase
from shared.schemas.events import FINAL_EVENTS, REBUILT, EventId, EventType


class Source(Enum):
    """Where the next events of a client come from."""

    #: The entries that were found; then whatever follows live.
    STREAM = "stream"
    #: Nothing yet: the job is running and Redis is being filled, or it has not begun.
    WAIT = "wait"
    #: The job has ended and its stream does not tell how: rebuild from Postgres.
    POSTGRES = "postgres"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do for a client: send ``entries``, then go on from ``cursor``."""

    source: Source
    entries: Sequence[Entry] = ()
    cursor: EventId | None = None


def check_cursor(cursor: EventId, job: Job) -> bool:
    """Whether there is anything after ``cursor``; False when it is the final event of an ended job.

    Raises:
        InvalidEventIdError: the job cannot have sent such an event.
    """
    if cursor.attempt > job.attempt:
        raise InvalidEventIdError(
            f"This session is at attempt {job.attempt}; an event {cursor} has not been sent. Leave the id "
            "out to start from the beginning."
        )
    if not job.ended:
        return True
    rebuilt_last = job.rebuilt_id(len(outcome_events(job)) + 1)
    if cursor > rebuilt_last:
        raise InvalidEventIdError(
            f"This session has ended, and an event {cursor} was never sent. Leave the id out to start from "
            "the beginning."
        )
    return cursor not in (job.final_event_id, rebuilt_last)


def is_final(entry: Entry, kind: JobKind) -> bool:
    """Whether nothing follows ``entry``, unless the job was retried."""
    if kind is not JobKind.CHAT:
        return entry.type in {EventType.DONE, EventType.CANCELLED, EventType.ERROR}
    return entry.type in FINAL_EVENTS


def plan(cursor: EventId | None, job: Job, stream: Sequence[Entry]) -> Plan:
    """Decide what a client gets that has everything up to ``cursor`` (``None``: nothing).

    Args:
        cursor: the last event that the client has.
        job: the job, read before the stream was.
        stream: the whole stream, oldest first.
    """
    later = _later(cursor, stream)
    if later is None:
        return Plan(Source.POSTGRES if job.ended else Source.WAIT, cursor=cursor)
    if job.ended:
        ends = [entry for entry in stream if entry.id.attempt == job.attempt and is_final(entry, job.kind)]
        if not ends:
            return Plan(Source.POSTGRES, cursor=cursor)
    # It was retried: the ends of earlier attempts are not its end, and while it waits again that of its
    # newest one is not, either. An attempt above the row's is one that was taken after the row was read.
    first = job.attempt if job.phase in (Phase.HELD, Phase.ENDED) else job.attempt + 1
    later = [entry for entry in later if not is_final(entry, job.kind) or entry.id.attempt >= first]
    last = stream[-1].id if stream else cursor
    return Plan(Source.STREAM if stream else Source.WAIT, later, last)


def _later(cursor: EventId | None, stream: Sequence[Entry]) -> list[Entry] | None:
    """The entries that a client at ``cursor`` lacks; ``None`` when the stream cannot tell."""
    restarts = [entry for entry in stream if entry.type == EventType.RESTART]
    newest = restarts[-1].id if restarts else None
    if cursor is None:
        if newest is not None:
            opening = [entry for entry in stream[:1] if entry.type == EventType.SESSION_START]
            return opening + [entry for entry in stream if entry.id >= newest]
        if not stream or stream[0].id == EventId(1, 0):
            return list(stream)
        return None
    if newest is not None and cursor < newest:
        return [entry for entry in stream if entry.id >= newest]
    if any(entry.id == cursor for entry in stream):
        return [entry for entry in stream if entry.id > cursor]
    if stream and stream[0].id == EventId(1, 0) and cursor < stream[0].id:
        return list(stream)
    return None


def rebuild(cursor: EventId | None, job: Job, reply: Reply, *, past_done: bool = False) -> list[Entry]:
    """The events of an ended job from Postgres: ``restart``, the whole text as one ``chunk``, the final ones.

    Args:
        cursor: the last event that the client has.
        job: the ended job.
        reply: its stored answer, or what there was of it.
        past_done: whether the client has had ``done`` already, so that its text is complete.
    """
    events = retold_events(job, reply) + outcome_events(job)
    entries = [
        Entry(job.rebuilt_id(number), event, encode(data, str(job.id)))
        for number, (event, data) in enumerate(events)
    ]
    if cursor is not None and cursor.attempt == job.attempt and cursor.seq >= REBUILT:
        # It was told to discard its text, whatever it had before.
        return [entry for entry in entries if entry.id > cursor]
    if past_done:
        return entries[-1:]
    return entries
