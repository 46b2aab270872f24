"""The events of a job, wherever they are made: by its worker, by a closer, or from Postgres."""

from __future__ import annotations

from typing import Any

import orjson

from shared.jobs.job import Job
from shared.jobs.messages import Reply
from shared.jobs.states import JobKind, Status
from shared.schemas.events import EventType

#: Error of a job that ran out of attempts.
EXHAUSTED = {
    "code": "attempts_exhausted",
    "message": "Every attempt at this job was lost or failed inside Parley.",
}

#: An event before it has an id.
EventData = tuple[EventType, dict[str, Any]]


def opening_event(job: Job) -> EventData:
    """The first event of an attempt: ``session_start``, or the bare fence of a later one."""
    if job.attempt > 1:
        return EventType.FENCE, {}
    return EventType.SESSION_START, {
        "conversation_id": None if job.conversation_id is None else str(job.conversation_id),
        "user_message_id": None if job.user_message_id is None else str(job.user_message_id),
        "attempt": job.attempt,
    }


def outcome_events(job: Job) -> list[EventData]:
    """What tells how a job came out, once that is committed.

    All of it is in the row, so that it is the same whoever tells it, as it happens or long afterwards. An
    answer that stages follow is told by ``done`` alone; :func:`complete_event` ends those.
    """
    if job.status is Status.FAILED:
        error = job.error or EXHAUSTED
        return [(EventType.ERROR, {"code": error["code"], "message": error["message"]})]
    if job.status is Status.CANCELLED:
        return [(EventType.CANCELLED, _answer_data(job))]
    if job.kind is not JobKind.CHAT:
        return [(EventType.DONE, {"result": (job.outcome or {}).get("result")})]
    conversation_id = None if job.conversation_id is None else str(job.conversation_id)
    done = (EventType.DONE, {"conversation_id": conversation_id, **_answer_data(job)})
    return [done, complete_event(job)] if job.ended else [done]


def retold_events(job: Job, reply: Reply) -> list[EventData]:
    """What tells a stored answer anew: clients discard what they had of it."""
    return [(EventType.RESTART, {"attempt": job.attempt}), (EventType.CHUNK, _chunk_data(reply))]


def complete_event(job: Job) -> EventData:
    """``post_response_complete``."""
    outcome = job.outcome or {}
    return EventType.POST_RESPONSE_COMPLETE, {
        "modules": outcome.get("modules", []),
        "state_updated": bool(outcome.get("state_updated", False)),
        "post_response": None if job.post_response is None else job.post_response.value,
    }


def encode(data: dict[str, Any], session_id: str) -> bytes:
    """The data of an event as it is stored and sent."""
    return orjson.dumps({**data, "session_id": session_id})


def _answer_data(job: Job) -> dict[str, Any]:
    return {
        "message_id": None if job.message_id is None else str(job.message_id),
        "metadata": (job.outcome or {}).get("metadata", {}),
    }


def _chunk_data(reply: Reply) -> dict[str, Any]:
    """A whole answer as one ``chunk``."""
    return {
        "content": reply.content,
        "thinking": reply.thinking,
        "tool_calls": None
        if not reply.tool_calls
        else [{"index": index, **call} for index, call in enumerate(reply.tool_calls)],
    }
