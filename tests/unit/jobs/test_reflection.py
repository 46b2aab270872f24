"""What a model is sent when a script reflects."""

from __future__ import annotations

import pytest

from shared.schemas.controls import ChatControls
from workers.jobs.script_model import reflection, unrepeated
from workers.providers.base.models import ChatMessage
from workers.sandbox.plugins.ports import ReflectCall, ReflectRole


def messages(
    role: ReflectRole, *, prompt: str = "Be kind.", reply: str | None = None
) -> list[tuple[str, str]]:
    call = ReflectCall(
        instructions="Was it kind?",
        role=role,
        prompt=prompt,
        reply=reply,
        controls=ChatControls(),
        explicit=frozenset(),
    )
    return [(message.role, message.content) for message in reflection(call)]


@pytest.mark.parametrize("role", ["user", "assistant", "system"])
def test_before_the_answer_the_instructions_stand_under_the_prompt(role: ReflectRole) -> None:
    assert messages(role) == [("system", "Be kind."), (role, "Was it kind?")]
    assert messages(role, prompt=" ") == [(role, "Was it kind?")]


@pytest.mark.parametrize("role", ["user", "system"])
def test_after_the_answer_the_reply_stands_between(role: ReflectRole) -> None:
    assert messages(role, reply="Yes.") == [
        ("system", "Be kind."),
        ("assistant", "Yes."),
        (role, "Was it kind?"),
    ]


def test_two_messages_of_the_assistant_are_one_since_servers_refuse_two_at_the_end() -> None:
    assert messages("assistant", reply="Yes.") == [
        ("system", "Be kind."),
        ("assistant", "Yes.\n\nWas it kind?"),
    ]


def test_a_server_that_goes_on_with_the_assistants_words_repeats_none_of_them() -> None:
    last = ChatMessage(role="assistant", content="Was it kind?")
    assert unrepeated("Was it kind? Yes, it was.", last) == "Yes, it was."
    assert unrepeated("Yes, it was.", last) == "Yes, it was."
    asked = ChatMessage(role="user", content="Was it kind?")
    assert unrepeated("Was it kind? Yes, it was.", asked) == "Was it kind? Yes, it was."
