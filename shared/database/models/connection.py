"""Provider connections."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.database.base import Base, Dated, Identified


class Connection(Identified, Dated, Base):
    """How an owner reaches a provider. ``secrets`` is the encrypted JSON of every secret setting."""

    __tablename__ = "connections"
    __table_args__ = (
        UniqueConstraint("owner_id", "name"),
        Index("ux_connections_default", "owner_id", unique=True, postgresql_where=text("is_default")),
    )

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(100))
    provider: Mapped[str] = mapped_column(String(20))
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    secrets: Mapped[bytes | None] = mapped_column(LargeBinary)
    is_default: Mapped[bool] = mapped_column(default=False)
    timeouts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    context_length: Mapped[int | None]
    max_in_flight: Mapped[int | None]
    prices: Mapped[dict[str, Any] | None]
