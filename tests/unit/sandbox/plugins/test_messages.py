"""Messages as lines and as dicts, bounded."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.sandbox.plugins.calls import call
from workers.sandbox.plugins.errors import CallError
from workers.sandbox.plugins.functions.messages import MAX_MESSAGES
from workers.sandbox.plugins.testing import InMemoryMessages, in_memory_context, said

TALK = [said(0, "Hello!\nAre you\r\nthere?"), said(1, "Yes."), said(2, "x" * 150)]


@pytest.fixture
def messages() -> InMemoryMessages:
    return InMemoryMessages(TALK)


async def test_lines_are_dated_in_utc_and_flat(messages: InMemoryMessages) -> None:
    context = in_memory_context(messages=messages)
    lines = ["[12:00] User: Hello! Are you there?", "[12:01] Assistant: Yes.", f"[12:02] User: {'x' * 150}"]
    assert await call(context, "get_recent_messages") == "\n".join(lines)
    assert await call(context, "get_recent_messages", 1) == lines[2]
    assert await call(context, "get_recent_messages", 0) == ""
    assert await call(context, "get_message_range", 0, 2) == "\n".join(lines[:2])
    assert await call(context, "get_message_range", start=1) == "\n".join(lines[1:])
    assert await call(context, "get_message_range", 2, 1) == ""
    assert await call(context, "get_message_range", 9) == ""
    assert await call(context, "get_message_count") == 3


async def test_dicts_carry_everything(messages: InMemoryMessages) -> None:
    context = in_memory_context(messages=messages)
    history = await call(context, "get_conversation_history")
    assert history[1] == {
        "id": TALK[1].id,
        "role": "assistant",
        "content": "Yes.",
        "thinking": None,
        "created_at": "2026-03-03T12:01:00+00:00",
    }
    assert [said["id"] for said in history] == [said.id for said in TALK]
    assert await call(context, "get_conversation_history", limit=1, offset=1) == history[1:2]
    raw = await call(context, "get_raw_recent_messages", 2)
    assert [{key: said[key] for key in said if key != "preview"} for said in raw] == history[1:]
    assert [said["preview"] for said in raw] == ["Yes.", "x" * 100]


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("get_recent_messages", {"limit": MAX_MESSAGES + 1}),
        ("get_raw_recent_messages", {"limit": MAX_MESSAGES + 1}),
        ("get_conversation_history", {"limit": MAX_MESSAGES + 1}),
        ("get_message_range", {"end": MAX_MESSAGES + 1}),
        ("get_message_range", {}),
    ],
)
async def test_one_call_reads_a_bounded_number(name: str, kwargs: dict[str, Any]) -> None:
    messages = InMemoryMessages(said(nth) for nth in range(MAX_MESSAGES + 1))
    with pytest.raises(CallError) as refused:
        await call(in_memory_context(messages=messages), name, **kwargs)
    assert refused.value.type == "ValueError"
    assert str(MAX_MESSAGES) in refused.value.message
    assert messages.reads == 0
