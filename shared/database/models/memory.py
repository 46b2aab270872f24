"""What scripts keep of a conversation."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, String, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.database.base import Base


class Memory(Base):
    """One act of memory, at the assistant message of its turn; a branch sees those of its own messages.

    ``stored``: a text that stands for earlier messages, numbered within the conversation. ``remembered``: a
    value under a key; the newest counts. ``cleared``: what was stored before it on the branch is not seen.
    """

    __tablename__ = "memories"
    __table_args__ = (
        CheckConstraint(
            "CASE kind WHEN 'stored' THEN sequence IS NOT NULL AND content IS NOT NULL "
            "WHEN 'remembered' THEN key IS NOT NULL AND value IS NOT NULL "
            "WHEN 'cleared' THEN true ELSE false END",
            name="kind",
        ),
        Index("ux_memories_sequence", "conversation_id", "sequence", unique=True),
        Index("ix_memories_message", "message_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    conversation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    message_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"))
    job_id: Mapped[uuid.UUID]
    kind: Mapped[str] = mapped_column(String(20))
    sequence: Mapped[int | None]
    content: Mapped[str | None] = mapped_column(Text)
    #: Which messages it stands for, as the script says (``25-35``).
    message_range: Mapped[str | None] = mapped_column(Text)
    #: Messages in the conversation when it was stored.
    message_count: Mapped[int | None] = mapped_column(BigInteger)
    #: The first message that it stands for: an id, as the script says.
    first_message_id: Mapped[str | None] = mapped_column(Text)
    key: Mapped[str | None] = mapped_column(Text)
    value: Mapped[Any | None] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
