"""What the scripts of a turn may read: their own conversation, on the branch that the turn answers.

Every reader asks in a READ ONLY transaction of its own; none is held while a script runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import direct
from shared.database.repositories.memories import BRANCH_MEMORIES, BranchMemory
from workers.jobs.turns import Target
from workers.sandbox.plugins.errors import CallError
from workers.sandbox.plugins.ports import ConversationInfo, Memory, PersonaInfo, Said

_BRANCH = (Path(__file__).parent / "sql" / "branch_messages.sql").read_text()
#: Bytes of messages that one call may read: what is more is not even fetched.
MAX_READ = 2 * 1024 * 1024
#: Texts that are too much together stay in Postgres; lengths are known without reading them.
_SAID = (
    "SELECT s.id, s.role, s.created_at, s.bytes, CASE WHEN s.bytes <= :room THEN s.content END AS content, "
    "CASE WHEN s.bytes <= :room THEN s.thinking END AS thinking FROM ("
    "SELECT m.*, n.position, "
    "sum(octet_length(m.content) + coalesce(octet_length(m.thinking), 0)) OVER () AS bytes "
)
_SAID_END = ") s ORDER BY s.position"
_READ_ONLY = text("SET TRANSACTION READ ONLY")
#: The ids of the branch as one text: a list of thousands of values would take the event loop's time.
_IDS = text(f"{_BRANCH} SELECT string_agg(CAST(id AS text), ',' ORDER BY position) AS ids FROM numbered")  # noqa: S608
_MESSAGES = text(
    f"{_SAID} FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY n (id, position) "
    "JOIN messages m ON m.id = n.id AND m.conversation_id = CAST(:conversation_id AS uuid)" + _SAID_END
)
_CONVERSATION = text(
    "SELECT c.title, c.created_at, c.updated_at, p.name AS persona_name "
    "FROM (SELECT 1) one "
    "LEFT JOIN conversations c ON c.id = CAST(:conversation_id AS uuid) AND c.owner_id = :owner_id "
    "LEFT JOIN personas p ON p.id = CAST(:persona_id AS uuid) AND p.owner_id = :owner_id"
)
_PERSONA = text(
    "SELECT id, name, description, template, mode, first_message, is_active, extra_data, created_at, "
    "updated_at FROM personas WHERE id = CAST(:persona_id AS uuid) AND owner_id = :owner_id"
)


async def read(engine: AsyncEngine, statement: TextClause, parameters: dict[str, Any]) -> direct.Rows:
    """Run a statement that changes nothing; Postgres refuses it if it does."""
    async with direct.begin(engine) as connection:
        connection.later(_READ_ONLY)
        # It goes along with the commit: one round trip for each question of a script, not three.
        asked = connection.later(statement, parameters)
    return asked.rows


class TurnReader:
    """Reads the conversation, persona and memories of one turn.

    Args:
        engine: Postgres.
        owner_id: whose they are.
        conversation_id: the conversation, if one is kept.
        persona_id: the persona, if there is one.
        leaf: the newest message of the branch: the user's, and the assistant's once that is stored.
            Memories are those that were there before the turn, unless :attr:`memory_leaf` is moved too.
        target: what answers the turn.
        model: the turn's model.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        owner_id: UUID,
        conversation_id: UUID | None,
        persona_id: str | None,
        leaf: UUID | None,
        target: Target | None,
        model: str | None,
    ) -> None:
        self._engine = engine
        self._owner_id = owner_id
        self._conversation_id = conversation_id
        self._persona_id = persona_id
        self._target = target
        self._model = model
        self.leaf = leaf
        self.memory_leaf = leaf
        self._walking = asyncio.Lock()
        self._walked: tuple[UUID | None, list[str]] | None = None

    # The messages of the branch ---------------------------------------------------------------------------
    async def count(self) -> int:
        """How many there are."""
        return len(await self._ids())

    async def recent(self, limit: int, *, room: int = MAX_READ) -> list[Said]:
        """The last ``limit`` of them, oldest first.

        Raises:
            CallError: ``ValueError``, when they have more than ``room`` bytes.
        """
        ids = await self._ids()
        return await self._said(ids[max(0, len(ids) - limit) :], room)

    async def range(self, start: int, end: int | None) -> list[Said]:
        """Those from position ``start`` up to, not including, ``end``.

        Raises:
            CallError: ``ValueError``, when they have more than :data:`MAX_READ` bytes.
        """
        return await self._said((await self._ids())[start:end], MAX_READ)

    async def positions(self, ids: Sequence[str]) -> dict[str, int]:
        """The position of each of ``ids`` that is a message of the branch."""
        wanted = {one.lower() for one in ids}
        return {one: place for place, one in enumerate(await self._ids()) if one in wanted}

    async def _ids(self) -> list[str]:
        """The messages of the branch, oldest first: gone through once for each leaf, whatever is asked."""
        async with self._walking:
            if self._walked is None or self._walked[0] != self.leaf:
                place = {"leaf": self.leaf, "conversation_id": self._conversation_id}
                found = (await read(self._engine, _IDS, place)).scalar()
                self._walked = self.leaf, found.split(",") if found else []
            return self._walked[1]

    async def _said(self, ids: list[str], room: int) -> list[Said]:
        if not ids:
            return []
        place = {"ids": ids, "conversation_id": self._conversation_id, "room": room}
        return _said(await read(self._engine, _MESSAGES, place), room)

    # What surrounds it ------------------------------------------------------------------------------------
    async def conversation(self) -> ConversationInfo:
        """The conversation; all ``None`` where there is none."""
        row = (
            await read(
                self._engine,
                _CONVERSATION,
                {
                    "conversation_id": self._conversation_id,
                    "persona_id": self._persona_id,
                    "owner_id": self._owner_id,
                },
            )
        ).one()
        return ConversationInfo(
            id=None if self._conversation_id is None else str(self._conversation_id),
            title=row.title,
            persona_id=self._persona_id,
            persona_name=row.persona_name,
            provider=None if self._target is None else self._target.provider.value,
            model=self._model,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    async def persona(self) -> PersonaInfo | None:
        """The persona; ``None`` where there is none."""
        if self._persona_id is None:
            return None
        parameters = {"persona_id": self._persona_id, "owner_id": self._owner_id}
        row = (await read(self._engine, _PERSONA, parameters)).mappings().first()
        return None if row is None else PersonaInfo(**{**row, "id": str(row["id"])})

    # Memories ---------------------------------------------------------------------------------------------
    async def memories(self) -> list[Memory]:
        """What was stored, by rising sequence."""
        return [
            Memory(
                sequence=one.sequence,
                content=one.content,
                message_range=one.message_range or "",
                message_count=one.message_count or 0,
                first_message_id=one.first_message_id,
                created_at=one.created_at,
            )
            for one in (await self._memory()).stored
        ]

    async def remembered(self) -> dict[str, Any]:
        """What is remembered, by key."""
        return (await self._memory()).remembered

    async def _memory(self) -> BranchMemory:
        place = {"conversation_id": self._conversation_id, "leaf": self.memory_leaf}
        rows = await read(self._engine, BRANCH_MEMORIES, place)
        return BranchMemory.from_rows(rows.all())


class SentMessages(TurnReader):
    """Reads a turn whose messages came with the request: there is no branch."""

    def __init__(self, engine: AsyncEngine, sent: Sequence[Said], **turn: Any) -> None:
        super().__init__(engine, **turn)
        self.sent = list(sent)

    async def count(self) -> int:
        """How many there are."""
        return len(self.sent)

    async def recent(self, limit: int, *, room: int = MAX_READ) -> list[Said]:
        """The last ``limit`` of them, oldest first; they are here already."""
        return self.sent[len(self.sent) - min(limit, len(self.sent)) :]

    async def range(self, start: int, end: int | None) -> list[Said]:
        """Those from position ``start`` up to, not including, ``end``."""
        return self.sent[start:end]

    async def positions(self, ids: Sequence[str]) -> dict[str, int]:
        """The position of each of ``ids`` that is among them."""
        places = {said.id: place for place, said in enumerate(self.sent)}
        return {one: places[one.lower()] for one in ids if one.lower() in places}


def _said(rows: direct.Rows, room: int) -> list[Said]:
    first = next(iter(rows), None)
    if first is not None and first.bytes > room:
        raise CallError(
            "ValueError",
            f"these messages have {first.bytes} bytes, and {room} can be read at once; ask for fewer",
        )
    return [
        Said(
            id=str(row.id),
            role=row.role,
            content=row.content,
            thinking=row.thinking,
            created_at=row.created_at,
        )
        for row in rows
    ]
