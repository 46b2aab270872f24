"""The messages of the own conversation, on the branch that is being answered.

The newest user message is among them; in stages 4 and 5 the reply is the last.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from typing import Annotated, Any

from pydantic import Field

from workers.sandbox.plugins.context import PluginContext
from workers.sandbox.plugins.errors import CallError
from workers.sandbox.plugins.ports import Said
from workers.sandbox.plugins.registry import plugin_function

#: Messages that one call may read.
MAX_MESSAGES = 1000
#: Characters of a preview.
PREVIEW = 100

Limit = Annotated[int, Field(ge=0, le=MAX_MESSAGES)]
#: A position; 0 is the oldest message.
Position = Annotated[int, Field(ge=0, le=2**31 - 1)]


@plugin_function(category="messages")
async def get_message_count(context: PluginContext, conversation_id: str | None = None) -> int:
    """How many messages there are."""
    context.own_conversation("get_message_count", conversation_id)
    return await context.messages.count()


@plugin_function(category="messages")
async def get_recent_messages(
    context: PluginContext, limit: Limit = 5, conversation_id: str | None = None
) -> str:
    """The last ``limit`` messages, oldest first, as lines ``[HH:MM] Role: text``; times are UTC."""
    context.own_conversation("get_recent_messages", conversation_id)
    return as_lines(await context.messages.recent(limit))


@plugin_function(category="messages")
async def get_raw_recent_messages(
    context: PluginContext, limit: Limit = 10, conversation_id: str | None = None
) -> list[dict[str, Any]]:
    """The last ``limit`` messages, oldest first, as dicts.

    Keys: ``id, role, content, thinking, created_at``, and ``preview``, the first 100 characters on one line.
    """
    context.own_conversation("get_raw_recent_messages", conversation_id)
    recent = await context.messages.recent(limit)
    return [{**as_dict(said), "preview": _flat(said.content[: 4 * PREVIEW])[:PREVIEW]} for said in recent]


@plugin_function(category="messages")
async def get_message_range(
    context: PluginContext,
    start: Position = 0,
    end: Position | None = None,
    conversation_id: str | None = None,
) -> str:
    """The messages from position ``start`` (0 is the oldest) up to, not including, ``end``, as lines.

    Without ``end`` they go to the newest. 1,000 messages at most.
    """
    context.own_conversation("get_message_range", conversation_id)
    last = await context.messages.count() if end is None else end
    if last - start > MAX_MESSAGES:
        raise CallError(
            "ValueError",
            f"get_message_range(): {last - start} messages are more than {MAX_MESSAGES}; read them in parts "
            "with start and end",
        )
    return as_lines(await context.messages.range(start, max(start, last)))


@plugin_function(category="messages")
async def get_conversation_history(
    context: PluginContext, conversation_id: str | None = None, limit: Limit = 50, offset: Position = 0
) -> list[dict[str, Any]]:
    """``limit`` messages from position ``offset`` (0 is the oldest), oldest first, as dicts.

    Keys: ``id, role, content, thinking, created_at``.
    """
    context.own_conversation("get_conversation_history", conversation_id)
    return [as_dict(said) for said in await context.messages.range(offset, offset + limit)]


def as_lines(messages: Iterable[Said]) -> str:
    """One line a message: ``[HH:MM] Role: text``."""
    return "\n".join(
        f"[{said.created_at.astimezone(UTC):%H:%M}] {said.role.capitalize()}: {_flat(said.content)}"
        for said in messages
    )


def as_dict(said: Said) -> dict[str, Any]:
    """A message as a script sees it; ``created_at`` is RFC 3339 in UTC."""
    return {
        "id": said.id,
        "role": said.role,
        "content": said.content,
        "thinking": said.thinking,
        "created_at": said.created_at.astimezone(UTC).isoformat(),
    }


def _flat(text: str) -> str:
    return " ".join(text.splitlines())
