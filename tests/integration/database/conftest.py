"""A migrated database with an owner in it, and conversations to keep things in."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from shared.database.models import Conversation, Message, Module, Persona, User
from shared.database.repositories import modules, personas


@dataclass
class Owner:
    """A user, and what is made for it."""

    engine: AsyncEngine
    id: uuid.UUID = field(default_factory=uuid.uuid4)

    def session(self) -> AsyncSession:
        return AsyncSession(self.engine, expire_on_commit=False)

    async def add(self, row: Any) -> Any:
        async with self.session() as session, session.begin():
            session.add(row)
        return row

    async def module(self, name: str, *, analysis: dict[str, Any] | None = None, **values: Any) -> Module:
        given = {"type": "simple", "execution_context": "IMMEDIATE", "state_scope": "conversation"}
        async with self.session() as session, session.begin():
            return await modules.create(
                session, self.id, {**given, "name": name, **values}, analysis=analysis
            )

    async def persona(self, template: str, name: str = "Ava") -> Persona:
        async with self.session() as session, session.begin():
            return await personas.create(session, self.id, {"name": name, "template": template})

    async def conversation(self, persona_id: uuid.UUID | None = None) -> Conversation:
        made: Conversation = await self.add(Conversation(owner_id=self.id, title="t", persona_id=persona_id))
        return made

    async def say(
        self, conversation: Conversation, parent: uuid.UUID | None, role: str = "assistant"
    ) -> uuid.UUID:
        message: Message = await self.add(
            Message(conversation_id=conversation.id, parent_id=parent, role=role, content="x")
        )
        return message.id


@pytest.fixture
async def owner(engine: AsyncEngine) -> Owner:
    made = Owner(engine)
    await made.add(User(id=made.id, name="ada"))
    return made
