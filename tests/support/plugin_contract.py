"""What every implementation of the plugin functions' ports keeps: the twins in memory, and those on Postgres.

Derive a test class from each contract and give its ``world`` (or its generators) as a fixture.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import pytest

from shared.schemas.controls import ChatControls
from workers.sandbox.plugins.buffer import MemoryChanges
from workers.sandbox.plugins.errors import GenerationFailed
from workers.sandbox.plugins.ports import (
    GenerateCall,
    Generator,
    InfoReader,
    MemoryReader,
    MessageReader,
    NewMemory,
    ReflectCall,
)
from workers.sandbox.plugins.testing import NOON


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The ports of one conversation, and the ids of its messages, oldest first."""

    messages: MessageReader
    info: InfoReader
    memories: MemoryReader
    ids: Sequence[str]


class World(Protocol):
    """Makes conversations, and commits what turns wrote."""

    #: Ids of messages that exist, in a conversation of another owner.
    foreign_ids: Sequence[str]

    async def conversation(self, messages: Sequence[tuple[str, str]], *, persona: str | None = None) -> Ports:
        """A conversation titled ``Plans`` with these (role, content), answered by a persona of that name."""
        ...

    async def commit(self, ports: Ports, changes: MemoryChanges) -> Ports:
        """Commit ``changes`` as a turn of the conversation does; its ports as the next turn has them."""
        ...


TALK = [("user" if nth % 2 == 0 else "assistant", f"message {nth}") for nth in range(7)]


def new_memory(content: str, *, first_message_id: str | None = None) -> NewMemory:
    return NewMemory(
        content=content,
        message_range="2-5",
        message_count=7,
        first_message_id=first_message_id,
        created_at=NOON,
    )


class PortsContract:
    """Messages, surroundings and memories of one conversation."""

    async def test_an_empty_conversation_has_no_messages(self, world: World) -> None:
        ports = await world.conversation([])
        assert await ports.messages.count() == 0
        assert await ports.messages.recent(5) == []
        assert await ports.messages.range(0, None) == []
        assert await ports.messages.positions([]) == {}

    async def test_messages_come_whole_and_oldest_first(self, world: World) -> None:
        ports = await world.conversation(TALK)
        assert await ports.messages.count() == len(TALK)
        everything = await ports.messages.range(0, None)
        assert [(said.role, said.content) for said in everything] == TALK
        assert [said.id for said in everything] == list(ports.ids)
        assert all(str(uuid.UUID(said.id)) == said.id for said in everything)
        moments = [said.created_at for said in everything]
        assert moments == sorted(moments)
        assert all(moment.tzinfo is not None for moment in moments)

    @pytest.mark.parametrize(
        ("limit", "expected"), [(0, []), (1, [6]), (3, [4, 5, 6]), (100, list(range(7)))]
    )
    async def test_recent_gives_the_newest(self, world: World, limit: int, expected: list[int]) -> None:
        ports = await world.conversation(TALK)
        assert [said.content for said in await ports.messages.recent(limit)] == [
            f"message {nth}" for nth in expected
        ]

    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [(0, 2, [0, 1]), (5, None, [5, 6]), (3, 3, []), (5, 100, [5, 6]), (7, None, []), (100, 200, [])],
    )
    async def test_a_range_leaves_its_end_out(
        self, world: World, start: int, end: int | None, expected: list[int]
    ) -> None:
        ports = await world.conversation(TALK)
        assert [said.content for said in await ports.messages.range(start, end)] == [
            f"message {nth}" for nth in expected
        ]

    async def test_positions_know_only_the_own_messages(self, world: World) -> None:
        ports = await world.conversation(TALK)
        asked = [ports.ids[6], ports.ids[2], *world.foreign_ids, str(uuid.uuid4()), "no uuid"]
        assert world.foreign_ids
        assert await ports.messages.positions(asked) == {ports.ids[6]: 6, ports.ids[2]: 2}

    async def test_the_surroundings_are_those_of_the_conversation(self, world: World) -> None:
        ports = await world.conversation(TALK, persona="Juno")
        conversation = await ports.info.conversation()
        persona = await ports.info.persona()
        assert persona is not None
        assert (conversation.title, conversation.persona_name, persona.name) == ("Plans", "Juno", "Juno")
        assert conversation.persona_id == persona.id
        assert conversation.created_at is not None
        assert conversation.created_at.tzinfo is not None

    async def test_a_conversation_may_have_no_persona(self, world: World) -> None:
        ports = await world.conversation(TALK)
        conversation = await ports.info.conversation()
        assert await ports.info.persona() is None
        assert (conversation.persona_id, conversation.persona_name) == (None, None)

    async def test_memories_are_numbered_as_they_were_stored(self, world: World) -> None:
        ports = await world.conversation(TALK)
        assert await ports.memories.memories() == []
        first = new_memory("they met", first_message_id=ports.ids[2])
        ports = await world.commit(ports, MemoryChanges(stored=(first, new_memory("they talked"))))
        ports = await world.commit(ports, MemoryChanges(stored=(new_memory("they left"),)))
        memories = await ports.memories.memories()
        assert [memory.content for memory in memories] == ["they met", "they talked", "they left"]
        sequences = [memory.sequence for memory in memories]
        assert sequences == sorted(set(sequences))
        assert memories[0].first_message_id == ports.ids[2]
        assert (memories[0].message_range, memories[0].message_count) == ("2-5", 7)
        assert abs(memories[0].created_at - NOON) < timedelta(milliseconds=1)

    async def test_clearing_goes_before_storing(self, world: World) -> None:
        ports = await world.conversation(TALK)
        ports = await world.commit(
            ports, MemoryChanges(stored=(new_memory("old"),), remembered={"mood": "calm"})
        )
        last = (await ports.memories.memories())[-1].sequence
        ports = await world.commit(ports, MemoryChanges(cleared=True, stored=(new_memory("new"),)))
        memories = await ports.memories.memories()
        assert [memory.content for memory in memories] == ["new"]
        assert memories[0].sequence > last
        assert await ports.memories.remembered() == {"mood": "calm"}

    async def test_values_are_remembered_as_they_were_given(self, world: World) -> None:
        value = {"names": ["Ö", "𝛼"], "n": 2**60, "x": 0.25, "none": None, "deep": {"ok": True}}
        ports = await world.conversation(TALK)
        assert await ports.memories.remembered() == {}
        ports = await world.commit(ports, MemoryChanges(remembered={"facts": value, "mood": "calm"}))
        ports = await world.commit(ports, MemoryChanges(remembered={"mood": "glad"}))
        assert await ports.memories.remembered() == {"facts": value, "mood": "glad"}

    async def test_none_forgets_a_key(self, world: World) -> None:
        ports = await world.conversation(TALK)
        ports = await world.commit(ports, MemoryChanges(remembered={"mood": "calm", "place": "inn"}))
        ports = await world.commit(ports, MemoryChanges(remembered={"mood": None, "never": None}))
        assert await ports.memories.remembered() == {"place": "inn"}

    async def test_conversations_do_not_see_each_other(self, world: World) -> None:
        mine = await world.conversation(TALK)
        mine = await world.commit(
            mine, MemoryChanges(stored=(new_memory("mine"),), remembered={"mine": True})
        )
        other = await world.conversation([("user", "hello")])
        assert await other.messages.count() == 1
        assert await other.memories.memories() == []
        assert await other.memories.remembered() == {}
        assert await other.messages.positions(list(mine.ids)) == {}


class GeneratorContract:
    """Model calls: ``answering`` reaches a model, ``failing`` one that cannot answer."""

    def call(self) -> GenerateCall:
        return GenerateCall(
            instructions="Say hello.", input="To Juno.", controls=ChatControls(max_tokens=8, temperature=0)
        )

    def reflection(self) -> ReflectCall:
        return ReflectCall(
            instructions="Say how you feel.",
            role="user",
            prompt="You are Juno.",
            reply="Hello!",
            controls=ChatControls(max_tokens=8, temperature=0),
        )

    async def test_an_answer_is_text(self, answering: Generator) -> None:
        assert isinstance(await answering.generate(self.call()), str)
        assert isinstance(await answering.reflect(self.reflection()), str)

    async def test_a_failure_has_a_stable_code(self, failing: Generator) -> None:
        with pytest.raises(GenerationFailed) as generated:
            await failing.generate(self.call())
        with pytest.raises(GenerationFailed) as reflected:
            await failing.reflect(self.reflection())
        for failed in (generated.value, reflected.value):
            assert re.fullmatch(r"[a-z][a-z_]+", failed.code)
            assert failed.message
