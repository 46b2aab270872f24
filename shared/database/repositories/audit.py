"""Who changed what: users, keys and connections."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.models import AuditEntry


def record(
    session: AsyncSession,
    actor_id: uuid.UUID | None,
    action: str,
    target_id: uuid.UUID | None,
    **detail: Any,
) -> None:
    """Note an act in the transaction that does it; ``detail`` holds names and ids, never a secret."""
    session.add(AuditEntry(actor_id=actor_id, action=action, target_id=target_id, detail=detail))
