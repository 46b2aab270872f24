"""The data of a chat's events, wherever they are made: by its worker, by a closer, or from Postgres."""

from __future__ import annotations

from typing import Any

from shared.jobs.finish import Finished
from shared.jobs.job import Job
from shared.jobs.messages import Reply
from shared.jobs.states import Status
from shared.schemas.events import EventType

#: Error of a job that ran out of attempts.
EXHAUSTED = {
    "code": "attempts_exhausted",
    "message": "Every attempt at this job was lost or failed inside Parley.",
}

#: A chat event before it has an id.
EventData = tuple[EventType, dict[str, Any]]

CANCELLED_DETAILS = {"finish_reason": "cancelled"}


def opening_event(job: Job) -> EventData:
    """The first event of an attempt: ``session_start``, or the bare fence of a later one."""
    if job.attempt > 1:
        return EventType.FENCE, {}
    return EventType.SESSION_START, {
        "conversation_id": None if job.conversation_id is None else str(job.conversation_id),
        "user_message_id": None if job.user_message_id is None else str(job.user_message_id),
        "attempt": job.attempt,
    }


def chunk_data(reply: Reply) -> dict[str, Any]:
    """A whole answer as one ``chunk``."""
    return {
        "content": reply.content,
        "thinking": reply.thinking,
        "tool_calls": None
        if not reply.tool_calls
        else [{"index": index, **call} for index, call in enumerate(reply.tool_calls)],
    }


def done_data(finished: Finished) -> dict[str, Any]:
    """The data of ``done``."""
    job = finished.job
    return {
        "conversation_id": None if job.conversation_id is None else str(job.conversation_id),
        "message_id": None if finished.message_id is None else str(finished.message_id),
        "metadata": finished.details,
    }


def complete_data(job: Job) -> dict[str, Any]:
    """The data of ``post_response_complete``."""
    outcome = job.outcome or {}
    return {
        "modules": outcome.get("modules", []),
        "state_updated": bool(outcome.get("state_updated", False)),
        "post_response": None if job.post_response is None else job.post_response.value,
    }


def final_event(finished: Finished) -> EventData:
    """The last event of a job that was cancelled or failed."""
    if finished.job.status is Status.FAILED:
        error = finished.job.error or EXHAUSTED
        return EventType.ERROR, {"code": error["code"], "message": error["message"]}
    return EventType.CANCELLED, {
        "message_id": None if finished.message_id is None else str(finished.message_id),
        "metadata": finished.details,
    }
