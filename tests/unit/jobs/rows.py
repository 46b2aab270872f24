"""Jobs as they might be read, for tests of what is computed from them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from shared.jobs.job import Job
from shared.jobs.states import JobKind, Phase, Status


def make_job(**given: Any) -> Job:
    """A chat turn's row; ``given`` overrides."""
    fields: dict[str, Any] = {
        "id": UUID(int=1),
        "kind": JobKind.CHAT,
        "owner_id": UUID(int=2),
        "conversation_id": UUID(int=3),
        "phase": Phase.READY,
        "status": Status.QUEUED,
        "post_response": None,
        "attempt": 0,
        "failures": 0,
        "last_failure": None,
        "cancel_requested_at": None,
        "on_disconnect": "continue",
        "payload": {},
        "secret": None,
        "outcome": None,
        "error": None,
        "user_message_id": UUID(int=4),
        "message_id": None,
        "final_seq": None,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "started_at": None,
        "finished_at": None,
        "ended_at": None,
    }
    return Job(**(fields | given))
