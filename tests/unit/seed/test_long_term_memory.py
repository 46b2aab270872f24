"""The long-term memory takes each message in once, keeps what it has, and leaves no gap."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tests.unit.seed.scripts import SeededModule
from workers.sandbox.plugins.errors import GenerationFailed
from workers.sandbox.plugins.ports import GenerateCall, ReflectCall
from workers.sandbox.plugins.testing import InMemoryMessages, ScriptedGenerator, said

FAILURE = GenerationFailed("provider_timeout", "the provider took too long")


def is_summary(call: GenerateCall | ReflectCall) -> bool:
    assert isinstance(call, GenerateCall)
    return call.controls.max_tokens == 800


def told_in(calls: Iterable[GenerateCall | ReflectCall]) -> list[int]:
    """The numbers of the messages that the model was shown."""
    shown = [call.input or "" for call in calls if isinstance(call, GenerateCall)]
    return [int(number) for text in shown for number in re.findall(r"message (\d+)", text)]


class Conversation:
    """Grows turn by turn; the memory runs after each answer."""

    def __init__(self, answer: Any = None) -> None:
        self.messages = InMemoryMessages()
        self.failing = False

        def next_answer(call: GenerateCall | ReflectCall) -> str | GenerationFailed:
            if self.failing:
                return FAILURE
            kind = "summary" if is_summary(call) else "episode"
            return answer(call) if answer else f"{kind} {len(self.ai.calls)}"

        self.ai = ScriptedGenerator(next_answer)
        self.memory = SeededModule("long_term_memory", self.messages, ai=self.ai, stage=5)

    async def turns(self, count: int) -> dict[str, Any]:
        for _ in range(count):
            nth = len(self.messages.said)
            self.messages.said += [said(nth), said(nth + 1)]
            await self.memory.run()
        return self.memory.variables


async def test_nothing_is_generated_before_twenty_messages_are_old() -> None:
    talk = Conversation()
    variables = await talk.turns(19)
    assert talk.ai.calls == []
    assert (variables["memory"], variables["summary"], variables["episodes"]) == ("", "", [])
    variables = await talk.turns(1)
    assert [is_summary(call) for call in talk.ai.calls] == [True, False]
    assert variables["summary"] == "summary 1"
    assert variables["episodes"] == [{"first": 1, "last": 20, "text": "episode 2"}]
    assert variables["memory"] == (
        "What you remember of this conversation:\nsummary 1\n\n"
        "Episodes of it, oldest first:\n- Messages 1 to 20: episode 2"
    )


async def test_each_message_is_taken_in_once_and_the_last_twenty_are_not() -> None:
    talk = Conversation()
    variables = await talk.turns(100)
    summaries = [call for call in talk.ai.calls if is_summary(call)]
    episodes = [call for call in talk.ai.calls if not is_summary(call)]
    assert told_in(summaries) == list(range(180))
    assert told_in(episodes) == list(range(180))
    assert (len(summaries), len(episodes)) == (9, 9)
    assert [(episode["first"], episode["last"]) for episode in variables["episodes"]] == [
        (81, 100),
        (101, 120),
        (121, 140),
        (141, 160),
        (161, 180),
    ]
    assert (variables["covered"], variables["told"]) == (180, 180)


async def test_the_summary_lives_on() -> None:
    talk = Conversation(lambda call: "They met." if is_summary(call) else "An episode.")
    await talk.turns(30)
    first, second = [call for call in talk.ai.calls if is_summary(call)]
    assert isinstance(first, GenerateCall)
    assert isinstance(second, GenerateCall)
    assert (first.input or "").startswith(
        "Summary so far:\n(there is none yet)\n\nNew messages:\nUser: message 0\n"
    )
    assert (second.input or "").startswith("Summary so far:\nThey met.\n\nNew messages:\nUser: message 20\n")
    assert second.controls.chosen() == {"temperature": 0.1, "max_tokens": 800}


async def test_a_failure_keeps_what_there_was_and_is_made_up_for() -> None:
    talk = Conversation()
    before = dict(await talk.turns(20))
    talk.failing = True
    assert await talk.turns(12) == before
    assert len(talk.memory.logged) == 3
    assert talk.memory.logged[0].level == "warning"
    assert "provider_timeout: the provider took too long" in talk.memory.logged[0].message
    talk.failing = False
    after = await talk.turns(1)
    assert after["covered"] == after["told"] == 40
    assert told_in(call for call in talk.ai.calls if not is_summary(call)) == list(range(40))


async def test_what_was_generated_before_a_failure_is_not_generated_again() -> None:
    answers: list[str | GenerationFailed] = ["A summary.", FAILURE, "An episode."]
    talk = Conversation(lambda call: answers.pop(0))
    half = await talk.turns(20)
    assert (half["summary"], half["covered"], half["told"], half["episodes"]) == ("A summary.", 20, 0, [])
    whole = await talk.turns(1)
    assert [is_summary(call) for call in talk.ai.calls] == [True, False, False]
    assert whole["episodes"] == [{"first": 1, "last": 20, "text": "An episode."}]


async def test_an_empty_answer_is_a_failure() -> None:
    answers = ["  \n", "A summary.", "An episode."]
    talk = Conversation(lambda call: answers.pop(0))
    variables = await talk.turns(20)
    assert (variables["summary"], variables["covered"]) == ("", 0)
    variables = await talk.turns(1)
    assert variables["summary"] == "A summary."


async def test_without_model_calls_nothing_changes() -> None:
    messages = InMemoryMessages(said(nth) for nth in range(60))
    memory = SeededModule("long_term_memory", messages, ai=None)
    assert (await memory.run())["memory"] == ""
    assert "model_calls_off" in memory.logged[0].message


async def test_a_long_conversation_is_caught_up_with_a_few_calls_a_turn() -> None:
    talk = Conversation()
    talk.messages.said += [said(nth) for nth in range(400)]
    made = []
    for _ in range(5):
        await talk.memory.run()
        made.append(len(talk.ai.calls))
    assert made == [6, 12, 18, 24, 24]
    assert talk.memory.variables["covered"] == talk.memory.variables["told"] == 380
    summaries = [call for call in talk.ai.calls if is_summary(call)]
    assert told_in(summaries) == list(range(380))
    assert told_in(call for call in talk.ai.calls if not is_summary(call)) == list(range(280, 380))


async def test_a_branch_that_leaves_earlier_generates_nothing_anew() -> None:
    talk = Conversation()
    await talk.turns(40)
    made = len(talk.ai.calls)
    known = dict(talk.memory.variables)
    del talk.messages.said[62:]
    assert await talk.turns(1) == known
    assert len(talk.ai.calls) == made


async def test_no_message_falls_between_the_two_memories() -> None:
    talk = Conversation()
    recent = SeededModule("short_term_memory", talk.messages)
    for nth in range(0, 160, 2):
        talk.messages.said.append(said(nth))
        shown = (await recent.run())["recent_conversation"]
        numbers = [int(number) for number in re.findall(r"message (\d+)", shown)]
        assert numbers == list(range(min(numbers, default=nth), nth))
        assert min(numbers, default=0) <= talk.memory.variables.get("covered", 0)
        talk.messages.said.append(said(nth + 1))
        await talk.memory.run()


async def test_huge_messages_are_shown_cut() -> None:
    messages = InMemoryMessages(said(nth, f"message {nth} " + "x" * 90_000) for nth in range(40))
    ai = ScriptedGenerator(["A summary.", "An episode."])
    memory = SeededModule("long_term_memory", messages, ai=ai, payload=100_000)
    assert (await memory.run())["covered"] == 20
    assert told_in(ai.calls) == list(range(20)) * 2
    assert all(len(call.input or "") < 20_000 for call in ai.calls if isinstance(call, GenerateCall))


async def test_a_message_that_no_call_carries_is_passed_over() -> None:
    messages = InMemoryMessages(
        said(nth, "x" * 200_000 if nth == 7 else f"message {nth}") for nth in range(40)
    )
    ai = ScriptedGenerator(["A summary.", "An episode."])
    memory = SeededModule("long_term_memory", messages, ai=ai, payload=100_000)
    assert (await memory.run())["covered"] == 20
    assert "(a message that is too long to read)" in (ai.calls[0].input or "")  # type: ignore[union-attr]
