"""Templates without a turn: resolved on trial, and checked."""

from __future__ import annotations

from fastapi import Request

from gateway.dependencies import CallerOf, State
from gateway.queries import ask
from gateway.routing import make_router
from gateway.template_check import check_template
from shared.database.repositories import conversations, modules, personas
from shared.schemas import template
from shared.schemas.queries import QueryOperation
from shared.schemas.templates import (
    TemplateResolve,
    TemplateResolved,
    TemplateValidate,
    TemplateValidated,
)

router = make_router("/templates", "templates")


@router.post("/resolve")
async def resolve_template(
    http: Request, caller: CallerOf, state: State, body: TemplateResolve
) -> TemplateResolved:
    """Make the text that a turn would send, as stages 1 and 2 make it; nothing of it is kept.

    Without ``persona_id`` the persona is the conversation's. What goes wrong in a module is a warning.
    """
    async with state.sessions() as session:
        if body.persona_id is not None:
            await personas.get(session, caller.user_id, body.persona_id)
        if body.conversation_id is not None:
            await conversations.get(session, caller.user_id, body.conversation_id)
    asked = body.model_dump(mode="json")
    told = await ask(http, state, caller.user_id, QueryOperation.RESOLVE_TEMPLATE, **asked)
    return TemplateResolved.model_validate(told)


@router.post("/validate")
async def validate_template(caller: CallerOf, state: State, body: TemplateValidate) -> TemplateValidated:
    """Whether every reference leads to an active module of the caller's, without circles; nothing is run."""
    async with state.sessions() as session:
        reached = await modules.reached(session, caller.user_id, template.names(body.template))
    return check_template(body.template, reached, state.settings.module_depth)
