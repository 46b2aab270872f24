"""What the ``model`` of a request names: a persona, a model of a connection, or both."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.openai.offers import Offers
from gateway.state import GatewayState
from shared.database.models import Connection, Persona
from shared.database.repositories import connections
from shared.errors import ModelNotFoundError

PERSONA = "persona:"
#: Longest name of a model at its provider.
_MAX_MODEL = 200


@dataclass(frozen=True, slots=True)
class Named:
    """What answers.

    ``connection``: ``None`` for the caller's default; ``model``: ``None`` for that of the connection.
    """

    persona: Persona | None
    connection: Connection | None
    model: str | None

    @property
    def since(self) -> datetime:
        """When it was made."""
        made = self.persona or self.connection
        assert made is not None
        return made.created_at

    @property
    def owner(self) -> str:
        """Whose it is, for a list."""
        return "parley" if self.connection is None or self.persona is not None else self.connection.name


class Names:
    """Resolves the names of one caller."""

    def __init__(self, state: GatewayState, offers: Offers, owner_id: uuid.UUID) -> None:
        self._state = state
        self._offers = offers
        self._owner_id = owner_id

    async def find(self, name: str, *, listed: bool = False) -> Named:
        """What ``name`` stands for.

        Args:
            name: as a client sent it.
            listed: accept a model of a connection only when the connection offers it.

        Raises:
            ModelNotFoundError: nothing of this caller's.
        """
        async with self._state.sessions() as session:
            found, default = await self._look_up(session, name)
        if found is None and default is not None and len(name) <= _MAX_MODEL:
            # Asked of the provider only when it is not the connection's own model.
            if default.settings.get("model") == name or await self._offers_model(default, name):
                return Named(None, default, name)
        elif (
            found is not None
            and listed
            and found.connection is not None
            and found.model is not None
            and not await self._offers_model(found.connection, found.model)
        ):
            found = None
        if found is None:
            raise ModelNotFoundError(
                "There is no such model of yours; GET /v1/models lists them.",
                errors=[{"field": "model", "message": "is not one of yours"}],
            )
        return found

    async def _look_up(self, session: AsyncSession, name: str) -> tuple[Named | None, Connection | None]:
        """What the name stands for; else the connection that a bare name may belong to."""
        if name.startswith(PERSONA):
            return await self._persona(session, name.removeprefix(PERSONA)), None
        found = await self._connection(session, name)
        if found is not None:
            return Named(None, *found), None
        return None, await connections.resolve(session, self._owner_id)

    async def _persona(self, session: AsyncSession, name: str) -> Named | None:
        """``<persona>``, or ``<persona>@<connection>/<model>``; either name may hold an ``@``."""
        ends = [len(name), *(index for index in range(len(name) - 1, 0, -1) if name[index] == "@")][:10]
        rows = await session.scalars(
            select(Persona).where(
                Persona.owner_id == self._owner_id,
                Persona.is_active,
                Persona.name.in_([name[:end] for end in ends]),
            )
        )
        by_name = {persona.name: persona for persona in rows}
        for end in ends:
            persona = by_name.get(name[:end])
            if persona is None:
                continue
            if end == len(name):
                return Named(persona, None, None)
            found = await self._connection(session, name[end + 1 :])
            if found is not None:
                return Named(persona, *found)
        return None

    async def _connection(self, session: AsyncSession, name: str) -> tuple[Connection, str] | None:
        """``<connection>/<model>``; a connection's name holds no slash."""
        connection_name, slash, model = name.partition("/")
        if not slash or not model.strip() or len(model) > _MAX_MODEL:
            return None
        connection = await session.scalar(
            select(Connection).where(
                Connection.owner_id == self._owner_id, Connection.name == connection_name
            )
        )
        return None if connection is None else (connection, model)

    async def _offers_model(self, connection: Connection, model: str) -> bool:
        return model in (await self._offers.models([connection]))[connection.id]
