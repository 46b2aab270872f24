"""The events of experiments, by their run-wide numbers.

Whoever asks has found the experiment for its owner. One writer a run commits the numbers in order, so that a
reader that goes on after the last number it has misses none.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import direct

_AFTER = text(
    "SELECT number, attempt, type, data FROM experiment_events "
    "WHERE experiment_id = :experiment_id AND number > :after ORDER BY number LIMIT :limit"
)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it was committed."""

    number: int
    attempt: int
    type: str
    data: dict[str, Any]


async def after(
    engine: AsyncEngine, experiment_id: uuid.UUID, number: int, *, limit: int
) -> Sequence[StoredEvent]:
    """The first ``limit`` events behind the one with this number."""
    rows = await direct.execute(
        engine, _AFTER, {"experiment_id": experiment_id, "after": number, "limit": limit}
    )
    return [StoredEvent(row.number, row.attempt, row.type, row.data) for row in rows]
