"""Modules, the parts that system prompts are made of, and what they left behind in turns."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    String,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from shared.database.base import Base, Dated, Identified


class Module(Identified, Dated, Base):
    """A text, or a script and the text it fills, that templates refer to as ``@name``."""

    __tablename__ = "modules"
    __table_args__ = (
        UniqueConstraint("owner_id", "name"),
        CheckConstraint("type IN ('simple', 'advanced')", name="type"),
        CheckConstraint("(type = 'advanced') = (script IS NOT NULL)", name="script"),
        CheckConstraint(
            "execution_context IN ('IMMEDIATE', 'POST_RESPONSE', 'ON_DEMAND')", name="execution_context"
        ),
        CheckConstraint("state_scope IN ('conversation', 'persona')", name="state_scope"),
    )

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(50))
    description: Mapped[str | None] = mapped_column(Text)
    content: Mapped[str | None] = mapped_column(Text)
    type: Mapped[str] = mapped_column(String(10))
    script: Mapped[str | None] = mapped_column(Text)
    execution_context: Mapped[str] = mapped_column(String(20))
    trigger_pattern: Mapped[str | None] = mapped_column(String(500))
    #: Lower runs first.
    priority: Mapped[int] = mapped_column(default=100)
    #: What it contributes when it fails; nothing when empty.
    fallback: Mapped[str | None] = mapped_column(Text)
    state_scope: Mapped[str] = mapped_column(String(20))
    is_active: Mapped[bool] = mapped_column(default=True)
    requires_ai_inference: Mapped[bool] = mapped_column(default=False)
    #: What the sandbox found in the script (``ScriptAnalysis``); SQL NULL without a script.
    script_analysis: Mapped[dict[str, Any] | None]
    #: The modules that it may need: names in its content, and those its script gives to ``run_module``.
    module_names: Mapped[list[str]] = mapped_column(default=list, server_default="{}")


class ModuleState(Base):
    """What a module's variables were after one run: the rows are the history, the newest seen is the state.

    State of the scope ``conversation`` lies at the assistant message of its turn, and is seen from that
    message and those below it. State of the scope ``persona`` belongs to no conversation, and outlives them.
    """

    __tablename__ = "module_states"
    __table_args__ = (
        # A turn that is committed again changes its rows, and makes no second ones.
        UniqueConstraint("job_id", "module_id", "stage"),
        CheckConstraint(
            "CASE scope WHEN 'conversation' THEN conversation_id IS NOT NULL AND message_id IS NOT NULL "
            "AND persona_id IS NULL WHEN 'persona' THEN persona_id IS NOT NULL AND conversation_id IS NULL "
            "AND message_id IS NULL ELSE false END",
            name="scope",
        ),
        Index("ix_module_states_module", "module_id"),
        Index("ix_module_states_message", "message_id"),
        Index("ix_module_states_conversation", "conversation_id", "module_id", "id"),
        Index("ix_module_states_persona", "persona_id", "module_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    module_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("modules.id", ondelete="CASCADE"))
    persona_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("personas.id", ondelete="CASCADE"))
    conversation_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("conversations.id", ondelete="CASCADE")
    )
    message_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"))
    job_id: Mapped[uuid.UUID]
    stage: Mapped[int]
    scope: Mapped[str] = mapped_column(String(20))
    variables: Mapped[dict[str, Any]]
    #: About the run: its duration, tokens, calls.
    details: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
