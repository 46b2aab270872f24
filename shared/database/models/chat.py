"""Personas, conversations and the tree of their messages."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from shared.database.base import Base, Dated, Identified


class Persona(Identified, Dated, Base):
    """A character: the template of its system prompt, and how much history it is given."""

    __tablename__ = "personas"
    __table_args__ = (UniqueConstraint("owner_id", "name"),)

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)
    template: Mapped[str] = mapped_column(Text)
    mode: Mapped[str] = mapped_column(String(20), default="reactive")
    first_message: Mapped[str | None] = mapped_column(Text)
    #: ``{max_messages, max_tokens}``; both ``None``: what fits the model; SQL NULL: what fits, too.
    history: Mapped[dict[str, Any] | None]
    #: ``{content_type, size, sha256}`` of its :class:`PersonaImage`.
    image: Mapped[dict[str, Any] | None]
    extra_data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    is_active: Mapped[bool] = mapped_column(default=True)
    #: The modules that its template names.
    module_names: Mapped[list[str]] = mapped_column(default=list, server_default="{}")


class PersonaImage(Base):
    """A persona's image, in a table of its own so that lists do not carry it."""

    __tablename__ = "persona_images"

    persona_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("personas.id", ondelete="CASCADE"), primary_key=True
    )
    content_type: Mapped[str] = mapped_column(String(50))
    content: Mapped[bytes] = mapped_column(LargeBinary)


class Conversation(Identified, Dated, Base):
    """A tree of messages; ``active_message_id`` is the leaf of the branch that is shown and answered."""

    __tablename__ = "conversations"
    __table_args__ = (Index("ix_conversations_owner", "owner_id", "created_at", "id"),)

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(String(255))
    persona_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("personas.id", ondelete="SET NULL"))
    connection_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("connections.id", ondelete="SET NULL"))
    model: Mapped[str | None] = mapped_column(String(200))
    active_message_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("messages.id", ondelete="SET NULL", use_alter=True)
    )
    #: Hidden at once; the sweep removes it when its last job has ended.
    deleted_at: Mapped[datetime | None]


class Message(Identified, Base):
    """One message. Nothing overwrites it: an edit or a new answer is a sibling under the same parent."""

    __tablename__ = "messages"
    __table_args__ = (
        CheckConstraint("role IN ('system', 'user', 'assistant', 'tool')", name="role"),
        Index("ix_messages_tree", "conversation_id", "parent_id"),
        Index("ix_messages_time", "conversation_id", "created_at", "id"),
    )

    conversation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    parent_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("messages.id", ondelete="CASCADE"), index=True
    )
    role: Mapped[str] = mapped_column(String(20))
    content: Mapped[str] = mapped_column(Text)
    thinking: Mapped[str | None] = mapped_column(Text)
    tool_calls: Mapped[list[Any] | None]
    tool_call_id: Mapped[str | None] = mapped_column(String(200))
    #: The call that made it: provider, model, finish_reason, times.
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    job_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    hidden_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
