"""Modules: their fields, and their scripts before they are saved."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from pydantic import ValidationError as PydanticValidationError
from sqlalchemy.ext.asyncio import AsyncSession

import shared
from gateway.dependencies import CallerOf, OnceOf, PagingOf, State
from gateway.pagination import by_time
from gateway.queries import ask
from gateway.routing import make_router
from gateway.scripts import analyse
from shared.database.models import Module
from shared.database.repositories import conversations, modules
from shared.errors import ValidationError
from shared.schemas.connection import field_errors
from shared.schemas.module import (
    ModuleCreate,
    ModuleOut,
    ModuleType,
    ModuleUpdate,
    PluginFunctions,
    ScriptTest,
    ScriptTested,
)
from shared.schemas.page import Page
from shared.schemas.queries import QueryOperation

router = make_router("/modules", "modules")

#: Written by ``scripts/plugin-docs`` from the functions themselves, which lie with the workers.
PLUGIN_FUNCTIONS = Path(shared.__file__).parent / "schemas" / "plugin_functions.json"


def show(module: Module) -> ModuleOut:
    """A module on the wire."""
    return ModuleOut.model_validate({name: getattr(module, name) for name in ModuleOut.model_fields})


@router.get("")
async def list_modules(
    state: State,
    caller: CallerOf,
    paging: PagingOf,
    type: ModuleType | None = None,
    active_only: bool = False,
) -> Page[ModuleOut]:
    """The caller's modules, newest first."""
    async with state.sessions() as session:
        rows = await modules.list_(
            session,
            caller.user_id,
            limit=paging.fetch,
            after=paging.position(),
            type_=type,
            active_only=active_only,
        )
    return paging.page(rows, show, by_time)


@router.post("", status_code=201, response_model=ModuleOut)
async def create_module(
    http: Request, caller: CallerOf, state: State, once: OnceOf, body: ModuleCreate
) -> Response:
    """Make a module. A script is compiled first: 422 with ``line`` and ``column`` where it fails."""
    replayed = await once.replay()
    if replayed is not None:
        return replayed
    analysis = await _analysis(http, state, caller, body.model_dump())

    async def make(session: AsyncSession) -> ModuleOut:
        module = await modules.create(session, caller.user_id, body.model_dump(), analysis=analysis)
        await modules.check_room(session, caller.user_id)
        return show(module)

    return await once.create(make)


@router.get("/plugin-functions")
async def list_plugin_functions() -> PluginFunctions:
    """The functions that scripts call as ``ctx.<name>(…)``, by category and name."""
    return plugin_functions()


@router.post("/test-script")
async def test_script(http: Request, caller: CallerOf, state: State, body: ScriptTest) -> ScriptTested:
    """Run a script as a turn would, against a conversation of the caller's, and keep nothing of it.

    A script that fails, or that is stopped at a limit, is ``success: false`` with its ``error``.
    """
    if body.conversation_id is not None:
        async with state.sessions() as session:
            await conversations.get(session, caller.user_id, body.conversation_id)
    told = await ask(http, state, caller.user_id, QueryOperation.TEST_SCRIPT, **body.model_dump(mode="json"))
    return ScriptTested.model_validate(told)


@router.get("/{module_id}")
async def get_module(module_id: uuid.UUID, caller: CallerOf, state: State) -> ModuleOut:
    """One module."""
    async with state.sessions() as session:
        return show(await modules.get(session, caller.user_id, module_id))


@router.patch("/{module_id}")
async def update_module(
    module_id: uuid.UUID, http: Request, caller: CallerOf, state: State, body: ModuleUpdate
) -> ModuleOut:
    """Change what is sent; turns that are running keep the module they began with.

    Templates name modules, and do not follow one that gets another name. A new script is compiled first: 422
    with ``line`` and ``column`` where it fails.
    """
    changes = body.model_dump(exclude_unset=True)
    async with state.sessions() as session:
        _check_changed(await modules.get(session, caller.user_id, module_id), changes)
    analysis = await _analysis(http, state, caller, changes)
    async with state.sessions.begin() as session:
        module = await modules.get(session, caller.user_id, module_id, lock=True)
        _check_changed(module, changes)
        await modules.update(session, module, changes, analysis=analysis)
        await modules.check_room(session, caller.user_id)
    return show(module)


@router.delete("/{module_id}", status_code=204)
async def delete_module(module_id: uuid.UUID, caller: CallerOf, state: State) -> None:
    """Delete a module with its state in every conversation; templates that name it show its name as text."""
    async with state.sessions.begin() as session:
        await modules.remove(session, await modules.get(session, caller.user_id, module_id, lock=True))


@functools.cache
def plugin_functions() -> PluginFunctions:
    """The functions of scripts, as the workers have them."""
    return PluginFunctions.model_validate_json(PLUGIN_FUNCTIONS.read_bytes())


async def _analysis(
    http: Request, state: State, caller: CallerOf, fields: Mapping[str, Any]
) -> dict[str, Any] | None:
    script = fields.get("script")
    return None if script is None else await analyse(http, state, caller.user_id, script)


def _check_changed(module: Module, changes: Mapping[str, Any]) -> None:
    """Refuse changes after which the fields would not fit together."""
    fields = {name: getattr(module, name) for name in ModuleCreate.model_fields}
    try:
        ModuleCreate.model_validate({**fields, **changes})
    except PydanticValidationError as error:
        errors = field_errors(error)
        first = errors[0]
        raise ValidationError(f"{first['field']}: {first['message']}", errors=errors) from None
