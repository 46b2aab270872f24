"""What a new user finds: a persona that remembers, and the modules of its memory."""

from __future__ import annotations

import functools
import uuid
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from shared import seed
from shared.database.repositories import modules, personas
from shared.schemas.module import ModuleCreate
from shared.schemas.persona import PersonaCreate

#: What the sandbox finds in each script, by the module's name: a user is made without asking a worker. A test
#: compares it with the scripts.
ANALYSIS = Path(seed.__file__).parent / "analysis.json"


@functools.cache
def analyses() -> dict[str, dict[str, Any]]:
    """The stored analysis of each script, by its module's name."""
    read: dict[str, dict[str, Any]] = orjson.loads(ANALYSIS.read_bytes())
    return read


async def plant(session: AsyncSession, user_id: uuid.UUID) -> None:
    """Give a new user the persona and its modules, in the transaction that makes the user."""
    for fields in seed.modules():
        values = ModuleCreate.model_validate(fields).model_dump()
        await modules.create(session, user_id, values, analysis=analyses()[values["name"]])
    persona = PersonaCreate.model_validate(seed.persona())
    await personas.create(session, user_id, persona.model_dump())
