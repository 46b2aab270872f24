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
from shared.database.repositories.statements import statement

_NEWS = statement("experiment_news")
_LAST = text("SELECT coalesce(max(number), 0) FROM experiment_events WHERE experiment_id = :experiment_id")


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it was committed."""

    number: int
    attempt: int
    type: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class News:
    """What came after an event; ``ended``: the run has ended, so that nothing follows the last event.

    With as many events as were asked for there may be more of them.
    """

    events: Sequence[StoredEvent]
    ended: bool


async def after(engine: AsyncEngine, experiment_id: uuid.UUID, number: int, *, limit: int) -> News:
    """The first ``limit`` events behind the one with this number, and whether the run had ended by then."""
    parameters = {"experiment_id": experiment_id, "after": number, "limit": limit}
    rows = (await direct.execute(engine, _NEWS, parameters)).all()
    events = [
        StoredEvent(row.number, row.attempt, row.type, row.data) for row in rows if row.number is not None
    ]
    # A run that was deleted tells nothing more.
    return News(events, ended=not rows or rows[0].ended)


async def last_number(engine: AsyncEngine, experiment_id: uuid.UUID) -> int:
    """The number of the newest event; 0 before the first."""
    return int((await direct.execute(engine, _LAST, {"experiment_id": experiment_id})).scalar() or 0)
