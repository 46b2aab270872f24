"""The own conversation and its persona."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from workers.sandbox.plugins.context import PluginContext
from workers.sandbox.plugins.errors import CallError
from workers.sandbox.plugins.registry import plugin_function


@plugin_function(category="info")
async def get_conversation_summary(context: PluginContext) -> dict[str, Any]:
    """The conversation in figures.

    Keys: ``id, title, message_count, persona_id, persona_name, provider, model, created_at, updated_at``;
    what there is not is ``None``.
    """
    info = await context.info.conversation()
    return {
        "id": info.id,
        "title": info.title,
        "message_count": await context.messages.count(),
        "persona_id": info.persona_id,
        "persona_name": info.persona_name,
        "provider": info.provider,
        "model": info.model,
        "created_at": _written(info.created_at),
        "updated_at": _written(info.updated_at),
    }


@plugin_function(category="info")
async def get_persona_info(context: PluginContext, persona_id: str | None = None) -> dict[str, Any]:
    """The persona that answers, read by key or by attribute: ``info["name"]``, ``info.name``.

    Keys: ``id, name, description, template, mode, first_message, is_active, extra_data, created_at,
    updated_at``. Raises ``LookupError`` when the conversation has no persona.
    """
    context.own_persona("get_persona_info", persona_id)
    info = await context.info.persona()
    if info is None:
        raise CallError(
            "LookupError",
            "get_persona_info(): this conversation has no persona; choose one, or catch LookupError",
        )
    return {
        "id": info.id,
        "name": info.name,
        "description": info.description,
        "template": info.template,
        "mode": info.mode,
        "first_message": info.first_message,
        "is_active": info.is_active,
        "extra_data": dict(info.extra_data),
        "created_at": _written(info.created_at),
        "updated_at": _written(info.updated_at),
    }


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
