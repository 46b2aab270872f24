"""What a conversation keeps beyond its recent messages: compressed memories, and values by key.

Buffer positions count back from the newest message, which is 1, so that ``"25-35"`` always means the eleven
messages behind the 24 newest. A memory also keeps how many messages there were, which makes its range exact.
What is written is seen at once by the script, and kept when its stage is committed.
"""

from __future__ import annotations

import re
from datetime import UTC
from typing import Annotated, Any

from pydantic import Field

from workers.sandbox.plugins.buffer import kept_size
from workers.sandbox.plugins.context import PluginContext
from workers.sandbox.plugins.errors import CallError
from workers.sandbox.plugins.functions.messages import MAX_MESSAGES, as_dict
from workers.sandbox.plugins.ports import Memory, NewMemory
from workers.sandbox.plugins.registry import plugin_function

#: Messages that must be there besides the buffer, unless a script says how many.
HEADROOM = 5
_RANGE = re.compile(r"([1-9][0-9]{0,8})-([1-9][0-9]{0,8})", re.ASCII)

#: Counts back from the newest message, which is 1.
Back = Annotated[int, Field(ge=1, le=10**9)]
Size = Annotated[int, Field(ge=1, le=10**9)]
Limit = Annotated[int, Field(ge=0, le=1000)]


@plugin_function(category="memory")
async def get_buffer_messages(
    context: PluginContext, start: Back = 25, end: Back = 35
) -> list[dict[str, Any]]:
    """The messages from ``start`` to ``end`` counted back from the newest (1), both included, oldest first.

    Keys as of ``get_conversation_history``. Fewer, or none, when the conversation is not that long.
    """
    if not start <= end < start + MAX_MESSAGES:
        raise CallError(
            "ValueError",
            f"get_buffer_messages(): start={start} to end={end} is no buffer; end comes after start, by less "
            f"than {MAX_MESSAGES} messages",
        )
    first, behind = _positions(start, end, await context.messages.count())
    return [as_dict(said) for said in await context.messages.range(first, behind)] if behind else []


@plugin_function(category="memory")
async def should_compress_buffer(
    context: PluginContext,
    buffer_size: Size = 11,
    min_total_messages: Annotated[int, Field(ge=0)] | None = None,
) -> bool:
    """Whether there is a buffer of messages that no memory stands for yet.

    True when the conversation has ``min_total_messages`` (without it ``buffer_size`` + 5), and at least
    ``buffer_size`` of them came since the newest memory was stored.
    """
    total = await context.messages.count()
    if total < (buffer_size + HEADROOM if min_total_messages is None else min_total_messages):
        return False
    memories = await context.memories.stored()
    return not memories or total - memories[-1].message_count >= buffer_size


@plugin_function(category="memory")
async def should_compress_buffer_by_ids(context: PluginContext, ids: list[str]) -> bool:
    """Whether these messages can be compressed: all are of this branch, and no memory stands for any of them.

    False for an empty list.
    """
    if len(ids) > MAX_MESSAGES:
        raise CallError(
            "ValueError",
            f"should_compress_buffer_by_ids(): argument ids: {len(ids)} are more than {MAX_MESSAGES}; ask "
            "for fewer at once",
        )
    kept_size("should_compress_buffer_by_ids", "ids", ids)
    wanted = [identifier.lower() for identifier in ids]
    memories = await context.memories.stored()
    firsts = [memory.first_message_id for memory in memories if memory.first_message_id]
    places = await context.messages.positions([*wanted, *firsts])
    if not wanted or any(identifier not in places for identifier in wanted):
        return False
    spans = [_span(memory, places) for memory in memories]
    return not any(first <= places[identifier] < behind for identifier in wanted for first, behind in spans)


@plugin_function(category="memory")
async def store_memory(
    context: PluginContext,
    text: str,
    message_range: str = "25-35",
    total_messages: Annotated[int, Field(ge=0, le=10**9)] | None = None,
    first_message_id: str | None = None,
) -> dict[str, Any]:
    """Store a compressed piece of the conversation; gives it as ``get_recent_memories`` does.

    ``message_range`` is what it stands for, counted back from the newest message as in
    ``get_buffer_messages``; ``total_messages`` is how many messages there were then (without it: as many as
    there are), and ``first_message_id`` the oldest of the range (without it: found from the range).
    """
    if not text.strip():
        raise CallError(
            "ValueError", "store_memory(): argument text must not be blank; give what to remember"
        )
    start, end = _range(message_range)
    if total_messages is None:
        total_messages = await context.messages.count()
    if first_message_id is None:
        first, behind = _positions(start, end, total_messages)
        found = await context.messages.range(first, first + 1) if behind else []
        first_message_id = found[0].id if found else None
    else:
        kept_size("store_memory", "first_message_id", first_message_id)
        first_message_id = first_message_id.lower()
        if first_message_id not in await context.messages.positions([first_message_id]):
            raise CallError(
                "ValueError",
                "store_memory(): argument first_message_id is no message of this conversation; use an id "
                "that get_buffer_messages() gave, or leave it out",
            )
    memory = await context.memories.store(
        NewMemory(
            content=text,
            message_range=message_range,
            message_count=total_messages,
            first_message_id=first_message_id,
            created_at=context.now(),
        )
    )
    return _as_dict(memory)


@plugin_function(category="memory")
async def get_recent_memories(context: PluginContext, limit: Limit = 10) -> list[dict[str, Any]]:
    """The last ``limit`` stored memories, newest first.

    Keys: ``sequence, content, message_range, message_count, first_message_id, created_at``.
    """
    memories = await context.memories.stored()
    return [_as_dict(memory) for memory in reversed(memories[max(0, len(memories) - limit) :])]


@plugin_function(category="memory")
async def get_memory_status(context: PluginContext) -> dict[str, Any]:
    """How far the memories reach.

    Keys: ``message_count``, ``memory_count``, ``messages_since_last`` (those that came since the newest
    memory; all, without one), ``last`` (the newest memory or ``None``), ``remembered`` (keys, sorted).
    """
    total = await context.messages.count()
    memories = await context.memories.stored()
    return {
        "message_count": total,
        "memory_count": len(memories),
        "messages_since_last": max(0, total - memories[-1].message_count) if memories else total,
        "last": _as_dict(memories[-1]) if memories else None,
        "remembered": sorted(await context.memories.recalled()),
    }


@plugin_function(category="memory")
async def clear_memories(context: PluginContext) -> int:
    """Take away what ``store_memory`` stored; gives how many there were. Values by key stay."""
    return await context.memories.clear()


@plugin_function(category="memory")
async def remember(context: PluginContext, key: str, value: Any) -> None:
    """Keep a JSON value by key, for every module of this conversation. ``None`` forgets the key."""
    await context.memories.remember(key, value)


@plugin_function(category="memory")
async def recall(context: PluginContext, key: str | None = None, default: Any = None) -> Any:
    """The value that was remembered under ``key``, or ``default``; without a key, all of them as a dict."""
    remembered = await context.memories.recalled()
    return remembered if key is None else remembered.get(key, default)


def _range(text: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    if match is None or int(match[1]) > int(match[2]):
        raise CallError(
            "ValueError",
            f"store_memory(): argument message_range: {text[:60]!r} is no range; write it as '25-35', "
            "counted back from the newest message, which is 1",
        )
    return int(match[1]), int(match[2])


def _positions(start: int, end: int, total: int) -> tuple[int, int]:
    """Where ``start`` to ``end``, counted back from ``total``, begins, and the position behind it."""
    return max(0, total - end), max(0, total - start + 1)


def _span(memory: Memory, places: dict[str, int]) -> tuple[int, int]:
    """The positions that ``memory`` stands for. Its first message says where they begin, if it is here."""
    start, end = _range(memory.message_range)
    first, behind = _positions(start, end, memory.message_count)
    if memory.first_message_id is not None and memory.first_message_id in places:
        moved = places[memory.first_message_id] - first
        first, behind = first + moved, behind + moved
    return first, behind


def _as_dict(memory: Memory) -> dict[str, Any]:
    return {
        "sequence": memory.sequence,
        "content": memory.content,
        "message_range": memory.message_range,
        "message_count": memory.message_count,
        "first_message_id": memory.first_message_id,
        "created_at": memory.created_at.astimezone(UTC).isoformat(),
    }
