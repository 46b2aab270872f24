"""Experiments: what was asked for, every step of the run, its events and its result."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Numeric,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.database.base import Base, Identified


class Experiment(Identified, Base):
    """An experiment: its configuration, and how far its run is. Its status is its job's."""

    __tablename__ = "experiments"
    __table_args__ = (
        UniqueConstraint("job_id"),
        CheckConstraint("kind IN ('run', 'replay', 'fork')", name="kind"),
        CheckConstraint("kind <> 'fork' OR fork_round IS NOT NULL", name="fork"),
        Index("ix_experiments_owner", "owner_id", "created_at", "id"),
        Index("ix_experiments_source", "source_id"),
        # For the sweep, which removes what was deleted.
        Index("ix_experiments_deleted", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
    )

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    #: The one job that runs it, over all of its attempts.
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    profile: Mapped[str] = mapped_column(String(20))
    #: An ``ExperimentConfig`` with every default filled in.
    config: Mapped[dict[str, Any]]
    #: The YAML as it was sent, and the name of its file.
    config_source: Mapped[str | None] = mapped_column(Text)
    config_file: Mapped[str | None] = mapped_column(Text)
    config_hash: Mapped[str] = mapped_column(String(64))
    seed: Mapped[int]
    #: ``{"agents": {name: route}, "utility": route}``; a route is
    #: ``{connection_id, provider, model, connection_name}``. Beside them lies what was asked for, as
    #: :class:`~shared.schemas.experiment.asked.Asked` has it.
    models: Mapped[dict[str, Any]]
    #: ``run``, ``replay`` or ``fork``.
    kind: Mapped[str] = mapped_column(String(10), default="run", server_default="run")
    #: What is replayed or forked; empty when that was deleted.
    source_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("experiments.id", ondelete="SET NULL"))
    #: From this round of the group on ``config`` is in force; of a fork, and of what replays one.
    fork_round: Mapped[int | None]
    #: What the fork changed.
    changes: Mapped[dict[str, Any] | None]
    #: What was in force before: ``[{from_round, config}]``, oldest first; the first is that of phase 1, too.
    source_configs: Mapped[list[Any] | None]
    phase: Mapped[int] = mapped_column(default=0, server_default="0")
    round: Mapped[int] = mapped_column(default=0, server_default="0")
    #: 0 to 1.
    progress: Mapped[float] = mapped_column(default=0.0, server_default="0")
    #: To models, repeated ones counted; and answers that had to be asked for again.
    calls: Mapped[int] = mapped_column(default=0, server_default="0")
    reasked: Mapped[int] = mapped_column(default=0, server_default="0")
    input_tokens: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    output_tokens: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    #: That it was worked on, over all attempts; and an estimate of what is left.
    seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")
    seconds_left: Mapped[float | None]
    #: In the currency of the connections' prices; empty when one of them has none.
    cost: Mapped[Decimal | None] = mapped_column(Numeric)
    #: Services that failed and that the run went on without.
    degraded: Mapped[int] = mapped_column(default=0, server_default="0")
    #: SHA-256 of the canonical result, without what differs between runs.
    result_hash: Mapped[str | None] = mapped_column(String(64))
    #: Of a replay: whether its result is that of its source.
    matches_source: Mapped[bool | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class ExperimentStep(Base):
    """A step of a run: a call to a model, a draw, or a note. A recorded one never runs again."""

    __tablename__ = "experiment_steps"
    __table_args__ = (
        UniqueConstraint("experiment_id", "path"),
        CheckConstraint("kind IN ('call', 'draw', 'note')", name="kind"),
        CheckConstraint("outcome IN ('answered', 'timed_out', 'refused')", name="outcome"),
        # Reading a run through, in the order of its steps' beginnings.
        Index("ix_experiment_steps_order", "experiment_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    experiment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    #: ``p2/r3/Alice/ballot/amount/try1``.
    path: Mapped[str] = mapped_column(Text)
    phase: Mapped[int] = mapped_column(SmallInteger)
    round: Mapped[int | None] = mapped_column(SmallInteger)
    agent: Mapped[str | None] = mapped_column(Text)
    purpose: Mapped[str] = mapped_column(Text)
    tried: Mapped[int | None] = mapped_column(SmallInteger)
    kind: Mapped[str] = mapped_column(String(10))
    #: Whose model was called: an agent's; empty for the utility agent's.
    role: Mapped[str | None] = mapped_column(Text)
    #: As the provider names what answered.
    model: Mapped[str | None] = mapped_column(Text)
    system_prompt: Mapped[str | None] = mapped_column(Text)
    user_prompt: Mapped[str | None] = mapped_column(Text)
    prompt_hash: Mapped[str | None] = mapped_column(String(64))
    schema_name: Mapped[str | None] = mapped_column(Text)
    #: Of a call: ``answered``, ``timed_out`` or ``refused``; empty while it is in flight.
    outcome: Mapped[str | None] = mapped_column(String(10))
    answer: Mapped[str | None] = mapped_column(Text)
    #: What was read, drawn or noted.
    value: Mapped[Any | None] = mapped_column(JSONB)
    #: Why the answer could not be read: the reader's code.
    unreadable: Mapped[str | None] = mapped_column(Text)
    #: What was found out about the model.
    notes: Mapped[list[Any] | None]
    #: How often the call was begun.
    sends: Mapped[int] = mapped_column(default=0, server_default="0")
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    seconds: Mapped[float | None]
    #: The job's attempt that recorded it.
    attempt: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    answered_at: Mapped[datetime | None]


class ExperimentEvent(Base):
    """An event of a run; ``number`` counts over all attempts, without holes, from 1."""

    __tablename__ = "experiment_events"
    __table_args__ = (UniqueConstraint("experiment_id", "key"),)

    experiment_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    #: What it tells of: once for all attempts.
    key: Mapped[str] = mapped_column(Text)
    attempt: Mapped[int]
    type: Mapped[str] = mapped_column(String(40))
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class ExperimentResult(Base):
    """What came of a run, byte for byte as it was made; also of one that did not come to its end."""

    __tablename__ = "experiment_results"

    experiment_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True
    )
    #: JSON in the order in which it was written.
    result: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
