"""The memory of a conversation, as each of its branches sees it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from shared.database import direct
from shared.database.models import Conversation
from shared.database.repositories import memories
from shared.database.repositories.memories import BranchMemory, MemoryAct
from tests.integration.database.conftest import Owner

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def record(owner: Owner, conversation: Conversation, message: uuid.UUID, *acts: MemoryAct) -> None:
    async with direct.begin(owner.engine) as connection:
        await memories.record(
            connection, acts, conversation_id=conversation.id, message_id=message, job_id=uuid.uuid4()
        )


async def seen(owner: Owner, conversation: Conversation, leaf: uuid.UUID | None) -> BranchMemory:
    async with direct.begin(owner.engine) as connection:
        return await memories.seen(connection, conversation.id, leaf)


def stored(content: str) -> MemoryAct:
    return MemoryAct("stored", content=content, message_range="25-35", message_count=35, created_at=AT)


def remembered(key: str, value: object) -> MemoryAct:
    return MemoryAct("remembered", key=key, value=value)


def texts(memory: BranchMemory) -> list[tuple[int, str]]:
    return [(one.sequence, one.content) for one in memory.stored]


async def test_nothing_is_remembered_at_first(owner: Owner) -> None:
    conversation = await owner.conversation()
    assert await seen(owner, conversation, None) == BranchMemory()
    assert await seen(owner, conversation, await owner.say(conversation, None)) == BranchMemory()


async def test_what_is_stored_comes_back_as_it_was(owner: Owner) -> None:
    conversation = await owner.conversation()
    message = await owner.say(conversation, None)
    huge = MemoryAct(
        "stored", content="", message_count=10**30, message_range="x" * 5000, first_message_id="?"
    )
    await record(owner, conversation, message, stored("Ünï"), remembered("k", {"a": [1, None]}), huge)
    memory = await seen(owner, conversation, message)
    assert texts(memory) == [(1, "Ünï"), (2, "")]
    first, second = memory.stored
    assert (first.message_range, first.message_count, first.created_at) == ("25-35", 35, AT)
    assert (second.message_count, second.first_message_id) == (2**63 - 1, "?")
    assert memory.remembered == {"k": {"a": [1, None]}}
    assert memory.last_sequence == 2


async def test_each_branch_sees_its_own_memory_and_numbers_go_on_over_all(owner: Owner) -> None:
    conversation, other = await owner.conversation(), await owner.conversation()
    trunk = await owner.say(conversation, None)
    left, right = await owner.say(conversation, trunk), await owner.say(conversation, trunk)
    await record(owner, conversation, trunk, stored("trunk"), remembered("name", "Ann"))
    await record(owner, conversation, left, stored("left"), remembered("name", "Bob"))
    await record(owner, conversation, right, stored("right"), remembered("name", None), remembered("n", 0))
    memory = await seen(owner, conversation, left)
    assert texts(memory) == [(1, "trunk"), (2, "left")]
    assert memory.remembered == {"name": "Bob"}
    memory = await seen(owner, conversation, right)
    assert texts(memory) == [(1, "trunk"), (3, "right")]
    assert memory.remembered == {"n": 0}  # the name is forgotten
    memory = await seen(owner, conversation, trunk)
    assert (texts(memory), memory.remembered, memory.last_sequence) == ([(1, "trunk")], {"name": "Ann"}, 3)
    assert await seen(owner, other, left) == BranchMemory()


async def test_clearing_hides_what_was_stored_before_on_that_branch(owner: Owner) -> None:
    conversation = await owner.conversation()
    trunk = await owner.say(conversation, None)
    left, right = await owner.say(conversation, trunk), await owner.say(conversation, trunk)
    await record(owner, conversation, trunk, stored("old"), remembered("k", 1))
    await record(owner, conversation, left, stored("x"), MemoryAct("cleared"), stored("new"))
    memory = await seen(owner, conversation, left)
    assert (texts(memory), memory.remembered) == ([(3, "new")], {"k": 1})
    assert texts(await seen(owner, conversation, right)) == [(1, "old")]
    async with owner.session() as session, session.begin():
        await memories.clear(session, conversation.id)
    assert await seen(owner, conversation, left) == BranchMemory()
