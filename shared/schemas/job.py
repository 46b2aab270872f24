"""Jobs on the wire: what runs, what ran, and each attempt at it."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from shared.schemas.base import Wire
from shared.schemas.provider_settings import Headers, Key

Kind = Literal["chat", "experiment", "query"]
JobStatus = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]


class JobSummary(Wire):
    """A job in a list.

    ``id`` is the ``session_id`` of a chat turn. ``active``: something may still happen to it. ``error`` is
    ``{code, message}`` of a failed one.
    """

    id: uuid.UUID
    kind: Kind
    status: JobStatus
    active: bool
    attempt: int
    post_response: Literal["pending", "running", "done", "cancelled", "failed"] | None
    conversation_id: uuid.UUID | None
    #: Of an experiment's run.
    experiment_id: uuid.UUID | None
    #: Of a query: what it does.
    operation: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: dict[str, Any] | None


class AttemptOut(Wire):
    """One attempt: who ran it and how it ended; ``outcome`` is ``null`` while it runs.

    ``lost``: its lease was not renewed; ``drained``: its worker was told to stop; ``broken``: something
    failed inside Parley.
    """

    attempt: int
    worker: str
    started_at: datetime
    finished_at: datetime | None
    outcome: Literal["succeeded", "failed", "cancelled", "lost", "drained", "broken"] | None


class JobOut(JobSummary):
    """A job with its attempts, oldest first.

    ``failures``: attempts since the last retry by hand that were lost or broke; ``last_failure``: the last of
    them; ``metadata``: of the answer; ``result``: of a query.
    """

    message_id: uuid.UUID | None
    user_message_id: uuid.UUID | None
    queue_position: int | None
    failures: int
    last_failure: dict[str, Any] | None
    metadata: dict[str, Any]
    result: dict[str, Any] | None
    attempts: list[AttemptOut]


class JobRetry(Wire):
    """``POST /api/jobs/{id}/retry``: the secrets that came with the job, which were erased when it ended."""

    api_key: Key = None
    extra_headers: Headers = Field(default_factory=dict)
