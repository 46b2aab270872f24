"""Memories stand for exact messages, and tell when there is something new to compress."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.sandbox.plugins.calls import call
from workers.sandbox.plugins.buffer import Memories
from workers.sandbox.plugins.errors import CallError
from workers.sandbox.plugins.testing import InMemoryMemories, InMemoryMessages, in_memory_context, said


def talk(count: int) -> InMemoryMessages:
    return InMemoryMessages(said(nth) for nth in range(count))


@pytest.mark.parametrize(
    ("count", "args", "expected"),
    [
        (40, (), range(5, 16)),
        (40, (1, 3), range(37, 40)),
        (30, (), range(6)),
        (35, (), range(11)),
        (24, (), range(0)),
        (0, (1, 5), range(0)),
        (3, (1, 5), range(3)),
    ],
)
async def test_the_buffer_counts_back_from_the_newest(
    count: int, args: tuple[int, ...], expected: range
) -> None:
    buffer = await call(in_memory_context(messages=talk(count)), "get_buffer_messages", *args)
    assert [message["content"] for message in buffer] == [f"message {nth}" for nth in expected]


async def test_a_buffer_is_due_once_for_each_of_its_size() -> None:
    messages = talk(0)
    context = in_memory_context(messages=messages)
    due = []
    for nth in range(60):
        messages.said.append(said(nth))
        if await call(context, "should_compress_buffer", 11):
            due.append(nth + 1)
            await call(context, "store_memory", "what happened", "1-11")
    assert due == [16, 27, 38, 49, 60]


async def test_pieces_of_turns_leave_the_window_each_once() -> None:
    """What docs/scripts.md shows: a script sees the newest user message, and two more a turn later."""
    messages = talk(0)
    context = in_memory_context(messages=messages)
    stored: list[str] = []
    for nth in range(75):
        messages.said.append(said(nth))
        if nth % 2 == 0 and await call(context, "should_compress_buffer", 12):
            piece = await call(context, "get_buffer_messages", 25, 36)
            if piece:
                stored += [message["content"] for message in piece]
                await call(context, "store_memory", "what happened", "25-36")
    assert stored == [f"message {nth}" for nth in range(49)]


async def test_the_least_number_of_messages_can_be_set() -> None:
    context = in_memory_context(messages=talk(34))
    assert await call(context, "should_compress_buffer") is True
    assert await call(context, "should_compress_buffer", min_total_messages=35) is False
    assert await call(context, "should_compress_buffer", 40, 0) is True


async def test_messages_are_compressed_once_wherever_the_buffer_has_moved() -> None:
    messages = talk(40)
    context = in_memory_context(messages=messages)
    buffer = [message["id"] for message in await call(context, "get_buffer_messages")]
    assert await call(context, "should_compress_buffer_by_ids", buffer) is True
    stored = await call(context, "store_memory", "what happened")
    assert stored["first_message_id"] == buffer[0]
    assert (stored["sequence"], stored["message_range"], stored["message_count"]) == (1, "25-35", 40)
    assert await call(context, "should_compress_buffer_by_ids", buffer) is False
    messages.said += [said(nth) for nth in range(40, 50)]
    moved = [message["id"] for message in await call(context, "get_buffer_messages")]
    assert moved[0] in buffer
    assert await call(context, "should_compress_buffer_by_ids", moved) is False
    messages.said.append(said(50))
    clear = [message["id"] for message in await call(context, "get_buffer_messages")]
    assert await call(context, "should_compress_buffer_by_ids", clear) is True


async def test_a_memory_follows_its_first_message_when_others_are_hidden() -> None:
    messages = talk(40)
    context = in_memory_context(messages=messages)
    await call(context, "store_memory", "what happened")  # stands for 5 to 15
    del messages.said[:3]
    assert await call(context, "should_compress_buffer_by_ids", [said(15).id]) is False
    assert await call(context, "should_compress_buffer_by_ids", [said(16).id]) is True
    assert await call(context, "should_compress_buffer_by_ids", [said(4).id]) is True


async def test_messages_of_elsewhere_are_nothing_to_compress() -> None:
    context = in_memory_context(messages=talk(40))
    assert await call(context, "should_compress_buffer_by_ids", []) is False
    assert await call(context, "should_compress_buffer_by_ids", [said(1).id, said(99).id]) is False


async def test_memories_are_given_newest_first_and_cleared() -> None:
    context = in_memory_context(messages=talk(40))
    for text in ("one", "two", "three"):
        await call(context, "store_memory", text, "1-5", 30, said(25).id.upper())
    recent = await call(context, "get_recent_memories", 2)
    assert [(memory["sequence"], memory["content"]) for memory in recent] == [(3, "three"), (2, "two")]
    assert recent[0]["first_message_id"] == said(25).id
    assert await call(context, "get_recent_memories", 0) == []
    await call(context, "remember", "mood", "calm")
    status = await call(context, "get_memory_status")
    assert (status["message_count"], status["memory_count"], status["messages_since_last"]) == (40, 3, 10)
    assert (status["last"], status["remembered"]) == (recent[0], ["mood"])
    assert await call(context, "clear_memories") == 3
    assert await call(context, "get_recent_memories") == []
    assert await call(context, "recall", "mood") == "calm"
    assert (await call(context, "get_memory_status"))["messages_since_last"] == 40


async def test_remembered_values_are_seen_at_once_and_forgotten() -> None:
    context = in_memory_context(memories=Memories(InMemoryMemories(remembered={"place": "inn"})))
    await call(context, "remember", "mood", {"now": "calm"})
    assert await call(context, "recall", "mood") == {"now": "calm"}
    assert await call(context, "recall") == {"place": "inn", "mood": {"now": "calm"}}
    await call(context, "remember", "place", None)
    assert await call(context, "recall", "place", "nowhere") == "nowhere"
    assert await call(context, "recall", key="never") is None


@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        ("get_buffer_messages", [5, 4], "end comes after start"),
        ("get_buffer_messages", [1, 1001], "less than 1000"),
        ("get_buffer_messages", [0, 4], "argument start"),
        ("should_compress_buffer", [0], "argument buffer_size"),
        ("should_compress_buffer_by_ids", [["x"] * 1001], "argument ids"),
        ("store_memory", ["  "], "argument text must not be blank"),
        ("store_memory", ["x", "35-25"], "argument message_range"),
        ("store_memory", ["x", "0-5"], "argument message_range"),
        ("store_memory", ["x", "last"], "write it as '25-35'"),
        ("store_memory", ["x", "1-5", -1], "argument total_messages"),
        (
            "store_memory",
            ["x", "1-5", 9, "00000000-0000-0000-0000-0000000000ff"],
            "argument first_message_id",
        ),
        ("should_compress_buffer_by_ids", [["x\x00"]], "argument ids cannot be kept"),
        ("store_memory", ["x", "1-5", 9, "\x00"], "argument first_message_id cannot be kept"),
        ("store_memory", ["x\x00"], "argument text cannot be kept: must not contain the NUL"),
        ("remember", [" ", 1], "argument key"),
        ("remember", ["k" * 201, 1], "argument key"),
        ("remember", ["k", float("nan")], "argument value cannot be kept"),
    ],
)
async def test_what_makes_no_sense_is_refused(name: str, args: list[Any], said: str) -> None:
    with pytest.raises(CallError) as refused:
        await call(in_memory_context(messages=talk(40)), name, *args)
    assert refused.value.type == "ValueError"
    assert said in refused.value.message
