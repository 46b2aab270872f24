"""Personas and modules between the database and a file."""

from __future__ import annotations

import uuid
from typing import cast

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.exchange.plan import Present
from shared.database.models import Module, Persona
from shared.database.repositories import modules, persona_exchange, personas
from shared.errors import ValidationError
from shared.schemas.module import ModuleCreate
from shared.schemas.persona import ImageType, PersonaCreate
from shared.schemas.persona_file import MAX_MODULES, PersonaFile, PersonaImage


async def present(session: AsyncSession, owner_id: uuid.UUID, file: PersonaFile) -> Present:
    """What the owner has already of what ``file`` brings."""
    name = file.persona.name
    persona = await persona_exchange.persona_named(session, owner_id, name)
    there = await modules.named(session, owner_id, [module.name for module in file.modules])
    return Present(
        persona=None if persona is None else await _file_of(session, persona),
        free_persona_name=await personas.free_name(session, owner_id, name),
        modules={name: _module(module) for name, module in there.items()},
        module_names=await persona_exchange.module_names(session, owner_id),
    )


async def export(session: AsyncSession, owner_id: uuid.UUID, persona_id: uuid.UUID) -> PersonaFile:
    """The persona's file, with the modules that it reaches, by name.

    Raises:
        PersonaNotFoundError: there is no such persona.
        ValidationError: it reaches more modules than a file may have.
    """
    persona = await personas.get(session, owner_id, persona_id)
    reached = await modules.reached(session, owner_id, persona.module_names)
    if len(reached) > MAX_MODULES:
        message = f"reaches {len(reached)} modules; a file has {MAX_MODULES} at most"
        raise ValidationError(f"template: {message}", errors=[{"field": "template", "message": message}])
    file = await _file_of(session, persona)
    file.modules = [_module(reached[name]) for name in sorted(reached)]
    return file


async def store(session: AsyncSession, owner_id: uuid.UUID, file: PersonaFile) -> Persona:
    """Make the persona of a file, with its image, and without its modules.

    Raises:
        NameTakenError: the owner has one of its name.
    """
    persona = await personas.create(session, owner_id, file.persona.model_dump())
    if file.image is not None:
        await personas.set_image(session, persona, file.image.content_type, file.image.content())
    return persona


async def _file_of(session: AsyncSession, persona: Persona) -> PersonaFile:
    stored = await personas.get_image(session, persona.id) if persona.image else None
    fields = {name: getattr(persona, name) for name in PersonaCreate.model_fields}
    return PersonaFile(
        persona=PersonaCreate.model_validate(fields),
        image=stored and PersonaImage.of(cast("ImageType", stored.content_type), stored.content),
    )


def _module(module: Module) -> ModuleCreate:
    return ModuleCreate.model_validate({name: getattr(module, name) for name in ModuleCreate.model_fields})
