"""A job, as it was when it was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping

from shared.jobs.states import JobKind, Phase, PostResponse, Status
from shared.schemas.events import REBUILT, EventId


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One row of ``jobs``; see :class:`shared.database.models.job.Job` for the columns."""

    id: UUID
    kind: JobKind
    owner_id: UUID
    conversation_id: UUID | None
    phase: Phase
    status: Status
    post_response: PostResponse | None
    attempt: int
    failures: int
    last_failure: dict[str, Any] | None
    cancel_requested_at: datetime | None
    on_disconnect: str
    payload: dict[str, Any]
    secret: bytes | None
    outcome: dict[str, Any] | None
    error: dict[str, Any] | None
    user_message_id: UUID | None
    message_id: UUID | None
    final_seq: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    ended_at: datetime | None
    #: Since when it could be claimed.
    ready_at: datetime | None = None
    #: The span that accepted it, where that was traced.
    traceparent: str | None = None
    #: What the claim read along for whoever runs the job.
    brought: dict[str, Any] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_row(cls, row: RowMapping | Mapping[str, Any], *, brought: dict[str, Any] | None = None) -> Job:
        """The job in a row that was read with ``SELECT *`` or ``RETURNING *``."""
        post_response = row["post_response"]
        return cls(
            id=row["id"],
            kind=JobKind(row["kind"]),
            owner_id=row["owner_id"],
            conversation_id=row["conversation_id"],
            phase=Phase(row["phase"]),
            status=Status(row["status"]),
            post_response=None if post_response is None else PostResponse(post_response),
            attempt=row["attempt"],
            failures=row["failures"],
            last_failure=row["last_failure"],
            cancel_requested_at=row["cancel_requested_at"],
            on_disconnect=row["on_disconnect"],
            payload=row["payload"],
            secret=row["secret"],
            outcome=row["outcome"],
            error=row["error"],
            user_message_id=row["user_message_id"],
            message_id=row["message_id"],
            final_seq=row["final_seq"],
            created_at=row["created_at"],
            started_at=row["started_at"],
            finished_at=row["finished_at"],
            ended_at=row["ended_at"],
            ready_at=row["ready_at"],
            traceparent=row["traceparent"],
            brought=brought,
        )

    @property
    def lease(self) -> str:
        """The lease member of the newest attempt."""
        return lease_member(self.id, self.attempt)

    @property
    def waited(self) -> float | None:
        """Seconds from when it could be claimed to its first attempt; ``None`` before that and after it."""
        if self.attempt != 1 or self.ready_at is None or self.started_at is None:
            return None
        return max(0.0, (self.started_at - self.ready_at).total_seconds())

    @property
    def marked(self) -> bool:
        """Whether somebody asked to cancel it."""
        return self.cancel_requested_at is not None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.phase is Phase.ENDED

    @property
    def answered(self) -> bool:
        """Whether its answer is stored, so that no provider is called for it again."""
        return self.status is Status.SUCCEEDED

    @property
    def shown_status(self) -> str:
        """The status as clients are told."""
        return "cancelling" if self.status is Status.RUNNING and self.marked else self.status.value

    @property
    def final_event_id(self) -> EventId | None:
        """The id that the last event of an ended job has in its stream, when it was written there."""
        return None if self.final_seq is None else EventId(self.attempt, self.final_seq)

    def rebuilt_id(self, number: int) -> EventId:
        """The id of the ``number``-th event that is rebuilt from Postgres, from 0."""
        return EventId(self.attempt, REBUILT + number)


def lease_member(job_id: UUID, attempt: int) -> str:
    """How an attempt is named among the leases, cancel flags and permits."""
    return f"{job_id}:{attempt}"


def parse_lease_member(member: str) -> tuple[UUID, int]:
    """The job and the attempt that ``member`` names."""
    job_id, _, attempt = member.partition(":")
    return UUID(job_id), int(attempt)
