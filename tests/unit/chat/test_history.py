"""The newest messages that fit go to the model, none of them torn from its neighbours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.chat.history import (
    MESSAGE_OVERHEAD,
    Window,
    budget,
    estimate_tokens,
    message_cost,
    newest_that_fit,
)
from workers.providers.base.models import ChatMessage


def said(text: str, role: str = "user") -> ChatMessage:
    return ChatMessage(role=role, content=text)  # type: ignore[arg-type]


messages = st.lists(
    st.builds(said, st.text(max_size=60), st.sampled_from(["user", "assistant", "tool", "system"])),
    max_size=30,
)
windows = st.builds(
    Window,
    max_messages=st.none() | st.integers(0, 40),
    max_tokens=st.none() | st.integers(0, 500),
)


@given(messages, st.integers(0, 800), windows)
def test_what_is_sent_is_an_end_of_the_history_that_fits(
    history: list[ChatMessage], tokens: int, window: Window
) -> None:
    sent = newest_that_fit(history, tokens, window)
    assert sent == history[len(history) - len(sent) :]
    assert sum(message_cost(message) for message in sent) <= tokens
    if window.max_tokens is not None:
        assert sum(message_cost(message) for message in sent) <= window.max_tokens
    if window.max_messages is not None:
        assert len(sent) <= window.max_messages
    assert not sent or sent[0].role != "tool"


@given(messages, st.integers(0, 800))
def test_nothing_that_would_fit_is_left_out(history: list[ChatMessage], tokens: int) -> None:
    sent = newest_that_fit(history, tokens, Window())
    left = history[: len(history) - len(sent)]
    if left and left[-1].role != "tool":
        assert message_cost(left[-1]) + sum(message_cost(message) for message in sent) > tokens


def test_the_answer_to_a_tool_call_is_not_sent_without_the_call() -> None:
    call = ChatMessage(
        role="assistant",
        tool_calls=({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},),
    )
    history = [said("weather?"), call, said("sunny", "tool"), said("It is sunny.", "assistant")]
    fits_two = message_cost(history[2]) + message_cost(history[3])
    assert newest_that_fit(history, fits_two, Window()) == history[3:]
    assert newest_that_fit(history, 1000, Window()) == history


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (Window(), ["a", "b", "c"]),
        (Window(max_messages=0), []),
        (Window(max_messages=2), ["b", "c"]),
        (Window(max_tokens=2 * (MESSAGE_OVERHEAD + 1)), ["b", "c"]),
        (Window(max_tokens=0), []),
    ],
)
def test_a_persona_limits_its_history(window: Window, expected: list[str]) -> None:
    history = [said("a"), said("b"), said("c")]
    assert [message.content for message in newest_that_fit(history, 1000, window)] == expected


def test_the_answer_and_what_goes_along_anyway_are_kept_free() -> None:
    assert budget(1000, 200) == 800
    assert budget(1000, None) == 750
    assert budget(1000, 200, "x" * 300) == 800 - 100 - MESSAGE_OVERHEAD
    assert budget(100, 5000) == 0


@pytest.mark.parametrize("text", ["", "a", "word " * 100, "漢字" * 50, "🙂" * 10])
def test_the_estimate_is_on_the_safe_side_of_a_token_a_character_in_chinese(text: str) -> None:
    assert estimate_tokens(text) >= len(text.encode()) / 3
