"""Personas and their images."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, null, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.models import Persona, PersonaImage
from shared.database.repositories import owned
from shared.errors import PersonaNotFoundError
from shared.schemas import template
from shared.schemas.page import Position


async def create(session: AsyncSession, owner_id: uuid.UUID, values: Mapping[str, Any]) -> Persona:
    """Make a persona from the fields of :class:`shared.schemas.persona.PersonaCreate`.

    Raises:
        NameTakenError: the owner has one of that name.
    """
    persona = Persona(
        owner_id=owner_id, **{name: value for name, value in values.items() if value is not None}
    )
    persona.module_names = template.names(persona.template)
    session.add(persona)
    await _flush(session)
    return persona


async def get(
    session: AsyncSession, owner_id: uuid.UUID, persona_id: uuid.UUID, *, lock: bool = False
) -> Persona:
    """A persona of the owner.

    Raises:
        PersonaNotFoundError: there is none.
    """
    return await owned.get(session, Persona, owner_id, persona_id, PersonaNotFoundError, lock=lock)


async def list_(
    session: AsyncSession,
    owner_id: uuid.UUID,
    *,
    limit: int,
    after: Position | None = None,
    active_only: bool = False,
) -> Sequence[Persona]:
    """The owner's personas, newest first."""
    query = select(Persona).where(Persona.owner_id == owner_id)
    if active_only:
        query = query.where(Persona.is_active)
    return await owned.page(session, query, Persona, limit=limit, after=after)


async def update(session: AsyncSession, persona: Persona, changes: Mapping[str, Any]) -> None:
    """Change fields of a persona.

    Raises:
        NameTakenError: the owner has another one of that name.
    """
    owned.assign(persona, changes)
    persona.module_names = template.names(persona.template)
    await _flush(session)
    await session.refresh(persona)


async def remove(session: AsyncSession, persona: Persona) -> None:
    """Delete a persona; its conversations stay, without one."""
    await session.delete(persona)
    await session.flush()


async def free_name(session: AsyncSession, owner_id: uuid.UUID, name: str) -> str:
    """``name``, or the first of "name (2)", "name (3)", … that the owner has no persona of."""
    taken = set(await session.scalars(select(Persona.name).where(Persona.owner_id == owner_id)))
    number = 2
    candidate = name
    while candidate in taken:
        suffix = f" ({number})"
        candidate = name[: 255 - len(suffix)] + suffix
        number += 1
    return candidate


async def set_image(session: AsyncSession, persona: Persona, content_type: str, content: bytes) -> None:
    """Store an image in place of the one before."""
    values = {"content_type": content_type, "content": content}
    await session.execute(
        insert(PersonaImage)
        .values(persona_id=persona.id, **values)
        .on_conflict_do_update(index_elements=[PersonaImage.persona_id], set_=values)
    )
    persona.image = {
        "content_type": content_type,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    await session.flush()
    await session.refresh(persona)


async def get_image(session: AsyncSession, persona_id: uuid.UUID) -> PersonaImage | None:
    """A persona's image; who asks has looked up the persona."""
    return await session.get(PersonaImage, persona_id)


async def remove_image(session: AsyncSession, persona: Persona) -> None:
    """Delete a persona's image, if it has one."""
    await session.execute(delete(PersonaImage).where(PersonaImage.persona_id == persona.id))
    persona.image = null()
    await session.flush()


async def _flush(session: AsyncSession) -> None:
    await owned.flush(session, "persona", "uq_personas_owner_id_name")
