"""What an import compares a file with: the owner's personas and modules of the names that it has."""

from __future__ import annotations

import uuid

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.models import Module, Persona


async def persona_named(session: AsyncSession, owner_id: uuid.UUID, name: str) -> Persona | None:
    """The owner's persona of that name."""
    found: Persona | None = await session.scalar(
        select(Persona).where(Persona.owner_id == owner_id, Persona.name == name)
    )
    return found


async def module_names(session: AsyncSession, owner_id: uuid.UUID) -> frozenset[str]:
    """The names of all the owner's modules."""
    return frozenset(await session.scalars(select(Module.name).where(Module.owner_id == owner_id)))
