"""What scripts keep of a conversation: texts that stand for its messages, and values by key."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import direct
from shared.database.direct import Connection
from shared.database.models import Memory
from shared.database.repositories.statements import statement
from shared.jobs.statements import as_json

#: For a round trip that carries other statements too: its parameters are ``conversation_id`` and ``leaf``;
#: :meth:`BranchMemory.from_rows` reads its rows.
BRANCH_MEMORIES = statement("branch_memories")
_RECORD = statement("record_memories")
_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class StoredMemory:
    """A text that stands for earlier messages; ``sequence`` is its number within the conversation."""

    sequence: int
    content: str
    message_range: str | None
    message_count: int | None
    first_message_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class BranchMemory:
    """The memory of a branch.

    Attributes:
        stored: oldest first.
        remembered: the newest value of each key.
        last_sequence: the highest number taken in the conversation, on any branch.
    """

    stored: tuple[StoredMemory, ...] = ()
    remembered: dict[str, Any] = field(default_factory=dict)
    last_sequence: int = 0

    @classmethod
    def from_rows(cls, rows: Sequence[Any]) -> BranchMemory:
        """From the rows of :data:`BRANCH_MEMORIES`."""
        return cls(
            stored=tuple(
                StoredMemory(**{name: getattr(row, name) for name in StoredMemory.__slots__})
                for row in rows
                if row.kind == "stored"
            ),
            remembered={
                row.key: row.value for row in rows if row.kind == "remembered" and row.value is not None
            },
            last_sequence=rows[0].last_sequence,
        )


@dataclass(frozen=True, slots=True)
class MemoryAct:
    """Something a script did to the memory, to be recorded.

    ``stored`` needs ``content``; ``remembered`` needs ``key`` and a JSON ``value``, ``None`` to forget it;
    ``cleared`` hides what was stored before it on the branch.
    """

    kind: Literal["stored", "remembered", "cleared"]
    content: str | None = None
    message_range: str | None = None
    message_count: int | None = None
    first_message_id: str | None = None
    key: str | None = None
    value: Any = None
    created_at: datetime | None = None


async def seen(
    connection: Connection, conversation_id: uuid.UUID | None, leaf: uuid.UUID | None
) -> BranchMemory:
    """The memory of the branch that ends at the message ``leaf``."""
    rows = await connection.execute(BRANCH_MEMORIES, {"conversation_id": conversation_id, "leaf": leaf})
    return BranchMemory.from_rows(rows.all())


async def record(
    connection: Connection,
    acts: Sequence[MemoryAct],
    *,
    conversation_id: uuid.UUID,
    message_id: uuid.UUID,
    job_id: uuid.UUID,
) -> None:
    """Write what scripts did, in one statement; it may wait for the next round trip.

    Args:
        connection: within the transaction that decides about the turn.
        acts: in the order in which they were done.
        conversation_id: whose memory.
        message_id: the assistant's message, from which on a branch sees it.
        job_id: the turn.
    """
    if not acts:
        return
    encoded = [{name: getattr(act, name) for name in MemoryAct.__slots__} for act in acts]
    for act in encoded:
        if act["message_count"] is not None:  # the script's own number
            act["message_count"] = max(0, min(act["message_count"], _MOST))
    await direct.write(
        connection,
        _RECORD,
        {
            "conversation_id": conversation_id,
            "message_id": message_id,
            "job_id": job_id,
            "acts": as_json(encoded),
        },
    )


async def clear(session: AsyncSession, conversation_id: uuid.UUID) -> None:
    """Delete the memory of a conversation, on all of its branches."""
    await session.execute(delete(Memory).where(Memory.conversation_id == conversation_id))
