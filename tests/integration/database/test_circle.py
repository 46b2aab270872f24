"""A tree of messages that a fault closed into a circle: what reads a branch upwards ends."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass

import pytest
from sqlalchemy import update

from shared.database import direct
from shared.database.models import Conversation, Message, Module
from shared.database.repositories import memories, module_state, modules
from shared.database.repositories.memories import MemoryAct
from shared.database.repositories.module_state import ModuleRun
from tests.integration.database.conftest import Owner


@dataclass
class Circle:
    """A branch that never ends, and another one, on which something was kept."""

    conversation: Conversation
    leaf: uuid.UUID
    module: Module


@pytest.fixture
async def circle(owner: Owner) -> Circle:
    conversation = await owner.conversation()
    root = leaf = await owner.say(conversation, None)
    for _ in range(3):
        leaf = await owner.say(conversation, leaf)
    async with owner.session() as session, session.begin():
        await session.execute(update(Message).where(Message.id == root).values(parent_id=leaf))
    elsewhere = await owner.say(conversation, None)
    module = await owner.module("count", content="${n}")
    async with direct.begin(owner.engine) as connection:
        # The branch is read upwards until what was kept is met, which is never.
        await module_state.record(
            connection,
            [ModuleRun(module.id, 4, {"n": 1})],
            owner_id=owner.id,
            job_id=uuid.uuid4(),
            persona_id=None,
            conversation_id=conversation.id,
            message_id=elsewhere,
        )
        await memories.record(
            connection,
            [MemoryAct("remembered", key="n", value=1)],
            conversation_id=conversation.id,
            message_id=elsewhere,
            job_id=uuid.uuid4(),
        )
    return Circle(conversation, leaf, module)


async def test_the_modules_of_a_turn(owner: Owner, circle: Circle) -> None:
    async with asyncio.timeout(20), direct.begin(owner.engine) as connection:
        [found] = await modules.of_turn(
            connection,
            owner.id,
            names=["count"],
            conversation_id=circle.conversation.id,
            leaf=circle.leaf,
        )
    assert found.variables is None


async def test_the_memory_of_a_branch(owner: Owner, circle: Circle) -> None:
    async with asyncio.timeout(20), direct.begin(owner.engine) as connection:
        seen = await memories.seen(connection, circle.conversation.id, circle.leaf)
    assert seen.remembered == {}


async def test_the_history_of_states(owner: Owner, circle: Circle) -> None:
    async with asyncio.timeout(20), owner.session() as session:
        runs = await module_state.history(session, circle.conversation, leaf=circle.leaf, limit=10)
    assert runs == []
