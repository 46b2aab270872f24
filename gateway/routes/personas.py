"""Personas: their fields, their image, and the document that carries one elsewhere."""

from __future__ import annotations

import base64
import re
import uuid
from typing import Annotated, cast

from fastapi import File, Header, Query, Response, UploadFile
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.dependencies import CallerOf, OnceOf, PagingOf, State
from gateway.images import check_image, read_image
from gateway.pagination import by_time
from gateway.routing import make_router
from shared.database.models import Persona
from shared.database.repositories import personas
from shared.errors import NameTakenError, NotFoundError
from shared.schemas.page import Page
from shared.schemas.persona import (
    ImageType,
    PersonaCreate,
    PersonaDocument,
    PersonaImage,
    PersonaImported,
    PersonaOut,
    PersonaUpdate,
)

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


@router.post(
    "/import",
    status_code=201,
    response_model=PersonaImported,
    responses={200: {"model": PersonaImported, "description": "With dry_run: what would happen"}},
)
async def import_persona(
    caller: CallerOf,
    state: State,
    once: OnceOf,
    body: PersonaDocument,
    dry_run: bool = False,
    rename: Annotated[bool, Query(description="Take a free name when the document's is taken.")] = False,
) -> Response:
    """Make a persona from an exported document.

    A name that is taken is a 409 ``name_taken``; with ``rename`` the persona gets a free one. With
    ``dry_run`` everything is checked, nothing is made, and the answer (200) tells what would happen.
    """
    image: tuple[str, bytes] | None = None
    if body.image is not None:
        content = base64.b64decode(body.image.data)
        image = check_image(content, "image.data"), content

    async def make(session: AsyncSession) -> PersonaImported:
        asked = body.persona.name
        free = await personas.free_name(session, caller.user_id, asked)
        name = free if rename else asked
        answer = PersonaImported(
            dry_run=dry_run,
            name=name,
            renamed_from=asked if name != asked else None,
            conflict=free != asked and not rename,
            has_image=image is not None,
            persona=None,
        )
        if dry_run:
            return answer
        if answer.conflict:
            raise NameTakenError(
                "you have a persona of this name; import it with ?rename=true, or rename one of the two",
                errors=[{"field": "persona.name", "message": "is taken"}],
            )
        persona = await personas.create(session, caller.user_id, {**body.persona.model_dump(), "name": name})
        if image is not None:
            await personas.set_image(session, persona, *image)
        answer.persona = show(persona)
        return answer

    if not dry_run:
        return await once.create(make)
    async with state.sessions() as session:
        report = await make(session)
    return Response(report.model_dump_json(), media_type="application/json")


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


@router.get("/{persona_id}/export", response_model=PersonaDocument)
async def export_persona(persona_id: uuid.UUID, caller: CallerOf, state: State) -> Response:
    """The persona as a document for ``POST /api/personas/import``, with its image."""
    async with state.sessions() as session:
        persona = await personas.get(session, caller.user_id, persona_id)
        stored = await personas.get_image(session, persona_id) if persona.image else None
    image: PersonaImage | None = None
    if stored is not None:
        data = base64.b64encode(stored.content).decode()
        image = PersonaImage(content_type=cast("ImageType", stored.content_type), data=data)
    fields = {name: getattr(persona, name) for name in PersonaCreate.model_fields}
    document = PersonaDocument(persona=PersonaCreate.model_validate(fields), image=image)
    file = re.sub(r"[^A-Za-z0-9]+", "-", persona.name).strip("-") or "persona"
    return Response(
        document.model_dump_json(),
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{file[:100]}.persona.json"'},
    )
