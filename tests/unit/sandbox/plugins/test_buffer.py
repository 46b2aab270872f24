"""Writes are seen by the run that made them, merged in the stated order, and bounded."""

from __future__ import annotations

from typing import Any

import pytest

from workers.sandbox.plugins.buffer import MAX_WRITTEN, Memories, MemoryChanges, Variables
from workers.sandbox.plugins.errors import CallError
from workers.sandbox.plugins.ports import Memory, NewMemory
from workers.sandbox.plugins.testing import NOON, InMemoryMemories


def new(content: str) -> NewMemory:
    return NewMemory(
        content=content, message_range="1-5", message_count=9, first_message_id=None, created_at=NOON
    )


async def contents(memories: Memories) -> list[str]:
    return [memory.content for memory in await memories.stored()]


def test_a_variable_is_the_nearest_one() -> None:
    variables = Variables({"mine": 1, "both": "own"}, {"theirs": 2, "both": "visible"})
    variables.set("mine", 3)
    assert (variables.get("mine"), variables.get("theirs"), variables.get("both")) == (3, 2, "own")
    assert variables.get("none") is None
    assert variables.get("none", 0) == 0
    assert variables.all() == {"mine": 3, "both": "own", "theirs": 2}
    assert variables.changes() == {"mine": 3}


def test_what_a_run_wrote_leaves_what_was_there_before() -> None:
    own = {"list": [1]}
    variables = Variables(own)
    variables.set("list", [2])
    assert variables.get("list") == [2]
    assert own == {"list": [1]}


@pytest.mark.parametrize("name", ["", "a b", "1a", "a-b", "ä", "a" * 101, "a\n"])
def test_a_variable_needs_a_name(name: str) -> None:
    with pytest.raises(CallError, match="argument name"):
        Variables().set(name, 1)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "value",
    [
        "\x00",
        "\ud800",
        {"\x00": 1},
        [float("inf")],
        2**64,
        nested(120),
        nested(20_000),
        {"a": {1, 2}},
        {1: 2},
    ],
    ids=["nul", "surrogate", "key", "infinite", "large", "deep", "very deep", "set", "int key"],
)
def test_what_the_database_would_not_give_back_is_refused(value: Any) -> None:
    variables = Variables()
    with pytest.raises(CallError, match=r"set_variable.*argument value cannot be kept") as refused:
        variables.set("x", value)
    assert refused.value.type == "ValueError"
    assert variables.changes() == {}


def test_a_run_writes_a_bounded_amount() -> None:
    variables = Variables()
    half = "x" * (MAX_WRITTEN // 2)
    for _ in range(3):  # in place of what was there
        variables.set("a", half)
    with pytest.raises(CallError, match="one run may write"):
        variables.set("b", half)
    assert variables.get("b") is None


async def test_a_run_sees_its_writes_and_the_turn_does_not_until_they_are_applied() -> None:
    turn = Memories(InMemoryMemories())
    run = turn.nested()
    await run.store(new("one"))
    await run.remember("mood", "calm")
    assert await contents(run) == ["one"]
    assert await contents(turn) == []
    assert not turn.changes()
    turn.apply(run.changes())
    assert await contents(turn) == ["one"]
    assert await turn.recalled() == {"mood": "calm"}


async def test_runs_at_once_see_the_turn_as_it_stood_when_they_began() -> None:
    turn = Memories(InMemoryMemories())
    first, second = turn.nested(), turn.nested()
    await second.store(new("second"))
    await second.remember("last", "second")
    await first.store(new("first"))
    await first.remember("last", "first")
    assert await contents(second) == ["second"]
    turn.apply(first.changes())
    assert await contents(second) == ["second"]
    turn.apply(second.changes())
    assert await contents(turn) == ["first", "second"]
    assert await turn.recalled() == {"last": "second"}
    assert [memory.sequence for memory in await turn.stored()] == [1, 2]


async def test_a_run_in_a_run_gives_up_only_its_own_writes() -> None:
    turn = Memories(InMemoryMemories())
    outer = turn.nested()
    await outer.store(new("outer"))
    inner = outer.nested()
    assert await contents(inner) == ["outer"]
    await inner.store(new("inner"))
    assert [memory.content for memory in inner.changes().stored] == ["inner"]
    outer.apply(inner.changes())
    turn.apply(outer.changes())
    assert await contents(turn) == ["outer", "inner"]


async def test_clearing_takes_away_what_was_before_it() -> None:
    committed = Memory(
        sequence=7,
        content="old",
        message_range="1-5",
        message_count=5,
        first_message_id=None,
        created_at=NOON,
    )
    store = InMemoryMemories([committed])
    turn = Memories(store)
    run = turn.nested()
    await run.store(new("lost"))
    assert await run.clear() == 2
    memory = await run.store(new("kept"))
    assert memory.sequence == 8
    assert await contents(run) == ["kept"]
    assert await contents(turn) == ["old"]
    turn.apply(run.changes())
    store.commit(turn.changes())
    assert [(memory.sequence, memory.content) for memory in await store.memories()] == [(8, "kept")]


async def test_the_database_is_asked_once_a_turn() -> None:
    class Counted(InMemoryMemories):
        asked = 0

        async def memories(self) -> list[Memory]:
            type(self).asked += 1
            return await super().memories()

    turn = Memories(Counted())
    for run in (turn.nested(), turn.nested(), turn):
        await run.stored()
    assert Counted.asked == 1


def test_no_changes_are_nothing() -> None:
    assert not MemoryChanges()
    assert MemoryChanges(cleared=True)
    assert MemoryChanges(remembered={"a": None})
    assert MemoryChanges(stored=(new("a"),)).then(MemoryChanges(cleared=True)) == MemoryChanges(cleared=True)


async def test_a_branch_keeps_memories_up_to_a_limit() -> None:
    committed = InMemoryMemories([], {f"key{n}": "x" * (MAX_WRITTEN - 2) for n in range(7)})
    memories = Memories(committed).nested()
    await memories.remember("more", "x" * (MAX_WRITTEN // 2))
    with pytest.raises(CallError, match=r"remember\(key, None\)"):
        await memories.remember("most", "x" * (MAX_WRITTEN // 2 - 3))
    await memories.remember("more", "x" * (MAX_WRITTEN // 2 - 3))
    await memories.remember("key0", None)
    await memories.remember("most", "x" * (MAX_WRITTEN // 4))


async def test_stored_memories_count_too_and_clearing_makes_room() -> None:
    committed = InMemoryMemories()
    committed.commit(MemoryChanges(stored=tuple(new("x" * MAX_WRITTEN) for _ in range(7))))
    memories = Memories(committed).nested()
    await memories.store(new("x" * (MAX_WRITTEN // 2)))
    await memories.remember("key", "x" * (MAX_WRITTEN // 4))
    with pytest.raises(CallError, match="clear_memories"):
        await memories.store(new("x" * (MAX_WRITTEN // 4)))
    await memories.clear()
    await memories.store(new("x" * (MAX_WRITTEN // 4)))
