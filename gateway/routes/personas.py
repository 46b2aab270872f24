"""Personas: their fields and their image."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import File, Header, Response, UploadFile
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.dependencies import CallerOf, OnceOf, PagingOf, State
from gateway.images import read_image
from gateway.pagination import by_time
from gateway.routing import make_router
from shared.database.models import Persona
from shared.database.repositories import personas
from shared.errors import NotFoundError
from shared.schemas.page import Page
from shared.schemas.persona import PersonaCreate, PersonaOut, PersonaUpdate

router = make_router("/personas", "personas")


class ImageNotFoundError(NotFoundError):
    """The persona has no image."""

    code = "image_not_found"
    title = "The persona has no image"


def show(persona: Persona) -> PersonaOut:
    """A persona on the wire."""
    return PersonaOut(
        id=persona.id,
        name=persona.name,
        description=persona.description,
        template=persona.template,
        mode=persona.mode,
        first_message=persona.first_message,
        history=persona.history,
        image_url=f"/api/personas/{persona.id}/image" if persona.image else None,
        extra_data=persona.extra_data,
        is_active=persona.is_active,
        created_at=persona.created_at,
        updated_at=persona.updated_at,
    )


@router.get("")
async def list_personas(
    state: State, caller: CallerOf, paging: PagingOf, active_only: bool = False
) -> Page[PersonaOut]:
    """The caller's personas, newest first."""
    async with state.sessions() as session:
        rows = await personas.list_(
            session, caller.user_id, limit=paging.fetch, after=paging.position(), active_only=active_only
        )
    return paging.page(rows, show, by_time)


@router.post("", status_code=201, response_model=PersonaOut)
async def create_persona(caller: CallerOf, once: OnceOf, body: PersonaCreate) -> Response:
    """Make a persona."""

    async def make(session: AsyncSession) -> PersonaOut:
        return show(await personas.create(session, caller.user_id, body.model_dump()))

    return await once.create(make)


@router.get("/{persona_id}")
async def get_persona(persona_id: uuid.UUID, caller: CallerOf, state: State) -> PersonaOut:
    """One persona."""
    async with state.sessions() as session:
        return show(await personas.get(session, caller.user_id, persona_id))


@router.patch("/{persona_id}")
async def update_persona(
    persona_id: uuid.UUID, caller: CallerOf, state: State, body: PersonaUpdate
) -> PersonaOut:
    """Change what is sent; turns that are running keep the persona they began with."""
    async with state.sessions.begin() as session:
        persona = await personas.get(session, caller.user_id, persona_id, lock=True)
        await personas.update(session, persona, body.model_dump(exclude_unset=True))
    return show(persona)


@router.delete("/{persona_id}", status_code=204)
async def delete_persona(persona_id: uuid.UUID, caller: CallerOf, state: State) -> None:
    """Delete a persona; its conversations stay."""
    async with state.sessions.begin() as session:
        persona = await personas.get(session, caller.user_id, persona_id, lock=True)
        await personas.remove(session, persona)


@router.post("/{persona_id}/image")
async def set_image(
    persona_id: uuid.UUID, caller: CallerOf, state: State, file: Annotated[UploadFile, File()]
) -> PersonaOut:
    """Set the image: PNG, JPEG, GIF or WebP, 5 MiB at most, as the part ``file`` of a multipart form."""
    content_type, content = await read_image(file)
    async with state.sessions.begin() as session:
        persona = await personas.get(session, caller.user_id, persona_id, lock=True)
        await personas.set_image(session, persona, content_type, content)
    return show(persona)


@router.get("/{persona_id}/image", response_class=Response)
async def get_image(
    persona_id: uuid.UUID,
    caller: CallerOf,
    state: State,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The image."""
    async with state.sessions() as session:
        persona = await personas.get(session, caller.user_id, persona_id)
        if persona.image is None:
            raise ImageNotFoundError
        headers = {
            "ETag": f'"{persona.image["sha256"]}"',
            "Cache-Control": "private, no-cache",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
        }
        if if_none_match is not None and headers["ETag"] in if_none_match:
            return Response(status_code=304, headers=headers)
        image = await personas.get_image(session, persona_id)
    if image is None:
        raise ImageNotFoundError
    return Response(image.content, media_type=image.content_type, headers=headers)


@router.delete("/{persona_id}/image", status_code=204)
async def delete_image(persona_id: uuid.UUID, caller: CallerOf, state: State) -> None:
    """Remove the image, if there is one."""
    async with state.sessions.begin() as session:
        persona = await personas.get(session, caller.user_id, persona_id, lock=True)
        await personas.remove_image(session, persona)
