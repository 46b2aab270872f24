"""Jobs, their attempts, and the record of requests that must not run twice."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.database.base import Base, Identified

_ACTIVE = text("phase IN ('ready', 'held')")
_CLAIMABLE = text("phase = 'ready' AND cancel_requested_at IS NULL")


class Job(Identified, Base):
    """The truth about a job; see :mod:`shared.jobs.states` for what ``phase`` and ``status`` mean."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("kind IN ('chat', 'experiment', 'query')", name="kind"),
        CheckConstraint("phase IN ('waiting', 'ready', 'held', 'ended')", name="phase"),
        CheckConstraint("status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="status"),
        # At most one active turn a conversation.
        Index("ux_jobs_active_turn", "conversation_id", unique=True, postgresql_where=_ACTIVE),
        # The claim's loose scan over owners, and its fallback when every owner's head is locked.
        Index("ix_jobs_claim", "kind", "owner_id", "ready_at", "id", postgresql_where=_CLAIMABLE),
        Index("ix_jobs_oldest", "kind", "ready_at", postgresql_where=_CLAIMABLE),
        Index("ix_jobs_held", "kind", "owner_id", postgresql_where=text("phase = 'held'")),
        Index(
            "ix_jobs_waiting",
            "conversation_id",
            "created_at",
            "id",
            postgresql_where=text("phase = 'waiting'"),
        ),
        Index(
            "ix_jobs_marked",
            "cancel_requested_at",
            postgresql_where=text("cancel_requested_at IS NOT NULL AND phase <> 'ended'"),
        ),
        Index("ix_jobs_owner", "owner_id", "created_at", "id"),
        Index("ix_jobs_conversation", "conversation_id"),
        Index(
            "ix_jobs_expiry",
            "ended_at",
            postgresql_where=text("phase = 'ended' AND conversation_id IS NULL"),
        ),
    )

    kind: Mapped[str] = mapped_column(String(20))
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    conversation_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("conversations.id", ondelete="SET NULL")
    )
    phase: Mapped[str] = mapped_column(String(10))
    status: Mapped[str] = mapped_column(String(10))
    post_response: Mapped[str | None] = mapped_column(String(10))
    #: Number of the newest attempt; only an UPDATE here hands out attempts.
    attempt: Mapped[int] = mapped_column(default=0)
    #: Attempts since the last retry by hand that were lost or broke inside Parley.
    failures: Mapped[int] = mapped_column(default=0)
    last_failure: Mapped[dict[str, Any] | None]
    cancel_requested_at: Mapped[datetime | None]
    on_disconnect: Mapped[str] = mapped_column(String(10), default="continue")
    payload: Mapped[dict[str, Any]]
    #: The encrypted key that came with the request; erased when the job ends.
    secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    #: What came of it: the answer's metadata; for a job without a conversation the answer itself.
    outcome: Mapped[dict[str, Any] | None]
    #: ``{code, message}`` of a failed job.
    error: Mapped[dict[str, Any] | None]
    user_message_id: Mapped[uuid.UUID | None]
    message_id: Mapped[uuid.UUID | None]
    #: Whether the caller chose the parent of the user message; else a waiting turn gets it when activated.
    parent_given: Mapped[bool] = mapped_column(default=False)
    #: Sequence number of the final event in the stream, known when the end is committed.
    final_seq: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    ready_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    #: When the client's answer was decided, and when the last stage was.
    finished_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    #: The span that accepted it (W3C ``traceparent``), where that was traced: its attempts belong below.
    traceparent: Mapped[str | None] = mapped_column(String(55))


class Attempt(Base):
    """One attempt at a job: who ran it, and how it ended."""

    __tablename__ = "attempts"

    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    worker: Mapped[str] = mapped_column(String(200))
    started_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(20))


class IdempotencyRecord(Base):
    """A request that was answered: the same key gives the same answer, another body is refused."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_created", "created_at"), Index("ix_idempotency_job", "job_id"))

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    route: Mapped[str] = mapped_column(String(200), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    #: Keyed hash, so that the table tells nothing about the bodies.
    body_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    job_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    #: ``{status, body}`` of what was made, for a route that makes no job.
    answer: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
