"""The recent messages are in the prompt, without the one that is answered."""

from __future__ import annotations

from tests.unit.seed.scripts import SeededModule
from workers.sandbox.plugins.testing import InMemoryMessages, said

HEADING = "The conversation so far, newest last:\n"


async def recent(messages: InMemoryMessages, **fields: int) -> str:
    variables = await SeededModule("short_term_memory", messages, **fields).run()
    assert set(variables) == {"recent_conversation"}
    return str(variables["recent_conversation"])


async def test_a_new_conversation_shows_nothing() -> None:
    assert await recent(InMemoryMessages()) == ""
    assert await recent(InMemoryMessages([said(0)])) == ""


async def test_the_message_being_answered_is_left_out() -> None:
    talk = [said(0, "Hello\nyou."), said(1, "Hi!"), said(2, "And now?")]
    assert await recent(InMemoryMessages(talk)) == HEADING + "They: Hello you.\nYou: Hi!"
    assert await recent(InMemoryMessages(talk[:2])) == HEADING + "They: Hello you.\nYou: Hi!"


async def test_forty_messages_are_shown() -> None:
    shown = await recent(InMemoryMessages(said(nth) for nth in range(101)))
    lines = shown.removeprefix(HEADING).splitlines()
    assert [line.split(": ")[1] for line in lines] == [f"message {nth}" for nth in range(60, 100)]


async def test_long_messages_are_cut_and_old_ones_make_room() -> None:
    shown = await recent(InMemoryMessages(said(nth, f"{nth:02} " + "x" * 3000) for nth in range(41)))
    lines = shown.removeprefix(HEADING).splitlines()
    assert all(line.endswith(" […]") for line in lines)
    assert len(shown) < 17_000
    assert lines[-1].startswith("You: 39 ")
    assert len(lines) == 10


async def test_messages_too_large_for_one_call_are_read_one_by_one() -> None:
    messages = InMemoryMessages(said(nth, f"{nth:02} " + "x" * 3000) for nth in range(41))
    assert await recent(messages, payload=20_000) == await recent(messages)
