"""Who changed what: users, keys and connections."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column

from shared.database.base import Base, Identified


class AuditEntry(Identified, Base):
    """One administrative act; ``detail`` holds names and ids, never a secret."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_at", "at"),)

    at: Mapped[datetime] = mapped_column(server_default=func.now())
    actor_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    action: Mapped[str] = mapped_column(String(100))
    target_id: Mapped[uuid.UUID | None]
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
