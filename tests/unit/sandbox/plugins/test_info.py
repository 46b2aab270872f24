"""The surroundings of a script."""

from __future__ import annotations

import uuid

import pytest

from tests.unit.sandbox.plugins.calls import call
from workers.sandbox.plugins.errors import CallError
from workers.sandbox.plugins.ports import ConversationInfo, PersonaInfo
from workers.sandbox.plugins.testing import NOON, InMemoryInfo, InMemoryMessages, in_memory_context, said

PERSONA = PersonaInfo(
    id=str(uuid.UUID(int=0xE)), name="Juno", description="Kind.", extra_data={"age": 30}, created_at=NOON
)


async def test_the_conversation_in_figures() -> None:
    info = InMemoryInfo(
        ConversationInfo(
            id=str(uuid.UUID(int=0xC)),
            title="Plans",
            persona_id=PERSONA.id,
            persona_name="Juno",
            provider="ollama",
            model="small",
            created_at=NOON,
        )
    )
    context = in_memory_context(info=info, messages=InMemoryMessages([said(0), said(1)]))
    assert await call(context, "get_conversation_summary") == {
        "id": str(uuid.UUID(int=0xC)),
        "title": "Plans",
        "message_count": 2,
        "persona_id": PERSONA.id,
        "persona_name": "Juno",
        "provider": "ollama",
        "model": "small",
        "created_at": "2026-03-04T12:00:00+00:00",
        "updated_at": None,
    }


async def test_only_the_own_persona_is_shown() -> None:
    context = in_memory_context(info=InMemoryInfo(persona=PERSONA))
    info = await call(context, "get_persona_info", PERSONA.id)
    assert info == await call(context, "get_persona_info")
    assert (info["name"], info["description"], info["extra_data"]) == ("Juno", "Kind.", {"age": 30})
    with pytest.raises(CallError) as refused:
        await call(context, "get_persona_info", str(uuid.UUID(int=1)))
    assert refused.value.type == "PermissionError"


async def test_a_conversation_without_a_persona_says_so() -> None:
    with pytest.raises(CallError) as refused:
        await call(in_memory_context(persona_id=None), "get_persona_info")
    assert refused.value.type == "LookupError"
    assert "no persona" in refused.value.message
