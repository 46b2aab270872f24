"""Personas that travel: exported with the modules that they reach, imported whole or not at all."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import uuid
from typing import Annotated, Any

from fastapi import Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.dependencies import CallerOf, OnceOf, State
from gateway.exchange import stored
from gateway.exchange.incoming import ImportedFile, read, receive
from gateway.exchange.plan import Plan, make_plan
from gateway.exchange.scripts import ScriptCompiler
from gateway.routes.personas import show
from gateway.routing import make_router
from shared.database.repositories import modules, persona_exchange
from shared.errors import NameTakenError
from shared.schemas.persona_file import (
    MEDIA_TYPES,
    FileFormat,
    ItemImported,
    PersonaFile,
    PersonaImported,
)

router = make_router("/personas", "personas")

_SCHEMA = {"schema": {"$ref": "#/components/schemas/PersonaFile"}}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "required": True,
    "description": "A file of Parley (JSON or YAML), or a character card (V1, V2, V3; JSON or PNG).",
    "content": {
        "application/json": _SCHEMA,
        "application/yaml": _SCHEMA,
        "image/png": _BINARY,
        "multipart/form-data": {
            "schema": {"type": "object", "required": ["file"], "properties": {"file": _BINARY["schema"]}}
        },
    },
}


@router.get(
    "/{persona_id}/export",
    response_model=PersonaFile,
    responses={200: {"content": {"application/yaml": _SCHEMA}, "description": "The file"}},
)
async def export_persona(
    persona_id: uuid.UUID, caller: CallerOf, state: State, format: FileFormat = "json"
) -> Response:
    """The persona as a file for ``POST /api/personas/import``, with its modules and image, no secrets."""
    async with state.sessions() as session:
        file = await stored.export(session, caller.user_id, persona_id)
    name = re.sub(r"[^A-Za-z0-9]+", "-", file.persona.name).strip("-")[:100] or "persona"
    return Response(
        await asyncio.to_thread(file.write, format),
        media_type=MEDIA_TYPES[format],
        headers={"Content-Disposition": f'attachment; filename="{name}.persona.{format}"'},
    )


@router.post(
    "/import",
    status_code=201,
    response_model=PersonaImported,
    responses={
        200: {"model": PersonaImported, "description": "Nothing was made: a dry run, or all is there"}
    },
    openapi_extra={"requestBody": _BODY},
)
async def import_persona(
    http: Request,
    caller: CallerOf,
    state: State,
    once: OnceOf,
    dry_run: Annotated[
        bool, Query(description="Check everything, make nothing, tell what would be.")
    ] = False,
    rename: Annotated[
        bool, Query(description="Give free names to what has a name that something else has here.")
    ] = False,
) -> Response:
    """Make a persona and its modules from a file or a character card: all of it, or nothing.

    What is there already and equal is left as it is. A name that something else has is a 409 ``name_taken``;
    with ``rename`` it gets a free one, which every reference in the file follows. Scripts are compiled first:
    422 with ``line`` and ``column`` where one fails. With ``dry_run`` conflicts are told, not raised.
    """
    incoming = await receive(http)
    if incoming.in_form:  # each sending of a form draws a new boundary: the file is what counts
        content = http.scope["query_string"] + b"\n" + incoming.content
        once = dataclasses.replace(once, body_hash=state.box.keyed_hash(content))
    if not dry_run and (replayed := await once.replay()) is not None:
        return replayed
    imported = await asyncio.to_thread(read, incoming)
    sent = imported.file.modules
    compiler = ScriptCompiler(http, state, caller.user_id)
    analyses = await compiler.analyses(sent)
    run_names = {name: analysis["module_names"] for name, analysis in analyses.items()}

    async def planned(session: AsyncSession) -> Plan:
        present = await stored.present(session, caller.user_id, imported.file)
        return await asyncio.to_thread(make_plan, imported.file, run_names, present, rename=rename)

    async with state.sessions() as session:
        plan = await planned(session)
    compiled = await compiler.of_plan(plan, sent, analyses)
    if dry_run:
        report = _report(imported, plan, dry_run=True)
        return Response(report.model_dump_json(), media_type="application/json")
    _refuse_conflicts(plan)

    async def make(session: AsyncSession) -> PersonaImported:
        if await planned(session) != plan:
            raise NameTakenError("your personas or modules were changed just now; import the file again")
        return await _make(session, caller.user_id, imported, plan, compiled)

    return await once.create(make, status=200 if plan.makes_nothing else 201)


async def _make(
    session: AsyncSession,
    owner_id: uuid.UUID,
    imported: ImportedFile,
    plan: Plan,
    compiled: dict[str, dict[str, Any]],
) -> PersonaImported:
    report = _report(imported, plan, dry_run=False)
    there = await modules.named(session, owner_id, [item.becomes for item in report.modules])
    for item, action, module in zip(report.modules, plan.modules, plan.file.modules, strict=True):
        # One that another import committed since the plan was made is not this one: its name is taken.
        row = there.get(module.name) if action == "same" else None
        if row is None:
            row = await modules.create(
                session, owner_id, module.model_dump(), analysis=compiled.get(module.name)
            )
        item.id = row.id
    await modules.check_room(session, owner_id)
    if plan.persona == "same":
        persona = await persona_exchange.persona_named(session, owner_id, plan.file.persona.name)
        assert persona is not None, "the plan was made anew in this transaction"
    else:
        persona = await stored.store(session, owner_id, plan.file)
    report.persona.id = persona.id
    report.made = show(persona)
    return report


def _report(imported: ImportedFile, plan: Plan, *, dry_run: bool) -> PersonaImported:
    return PersonaImported(
        dry_run=dry_run,
        source=imported.source,
        conflict=bool(plan.conflicts),
        persona=ItemImported(
            name=imported.file.persona.name, action=plan.persona, becomes=plan.file.persona.name
        ),
        modules=[
            ItemImported(name=sent.name, action=action, becomes=made.name)
            for sent, action, made in zip(imported.file.modules, plan.modules, plan.file.modules, strict=True)
        ],
        has_image=plan.file.image is not None,
        notes=[*imported.notes, *plan.notes],
    )


def _refuse_conflicts(plan: Plan) -> None:
    if plan.conflicts:
        names = [plan.file.persona.name] if plan.persona == "conflict" else []
        names += [
            module.name
            for module, action in zip(plan.file.modules, plan.modules, strict=True)
            if action == "conflict"
        ]
        raise NameTakenError(
            f"something else has the name {names[0]} here"
            + (f" (and {len(names) - 1} more names are taken)" if len(names) > 1 else "")
            + "; import the file with ?rename=true, or rename what is here",
            errors=[{"field": field, "message": "is taken"} for field in plan.conflicts[:50]],
        )
