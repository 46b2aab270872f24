"""How much of a conversation goes to the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from workers.providers.base.models import ChatMessage

#: Tokens that a message costs beside its text (role and separators).
MESSAGE_OVERHEAD = 4
#: Bytes of UTF-8 a token, on the safe side: English text has about 4, Chinese or Japanese about 3.
BYTES_PER_TOKEN = 3
#: Part of the context that is kept free for the answer when the request does not say ``max_tokens``.
ANSWER_SHARE = 1 / 4


@dataclass(frozen=True, slots=True)
class Window:
    """What a persona wants of the history; ``None``: as much as fits. ``max_messages=0`` is none at all."""

    max_messages: int | None = None
    max_tokens: int | None = None


def estimate_tokens(text: str) -> int:
    """About how many tokens ``text`` is, never much too few."""
    return math.ceil(len(text.encode()) / BYTES_PER_TOKEN)


def message_cost(message: ChatMessage) -> int:
    """About how many tokens a message takes."""
    calls = sum(estimate_tokens(call["function"]["arguments"]) for call in message.tool_calls)
    return MESSAGE_OVERHEAD + estimate_tokens(message.content) + calls


def budget(context_length: int, max_tokens: int | None, *fixed: str) -> int:
    """Tokens left for history in a context, after the answer and what must go along in any case."""
    answer = max_tokens if max_tokens is not None else int(context_length * ANSWER_SHARE)
    spoken_for = sum(estimate_tokens(text) + MESSAGE_OVERHEAD for text in fixed)
    return max(context_length - answer - spoken_for, 0)


def newest_that_fit(history: Sequence[ChatMessage], tokens: int, window: Window) -> list[ChatMessage]:
    """The newest messages of ``history`` (oldest first) that fit, in order, none left out in between.

    The answer to a tool call is not sent without the call.
    """
    left = tokens if window.max_tokens is None else min(tokens, window.max_tokens)
    count = len(history) if window.max_messages is None else min(window.max_messages, len(history))
    begin = len(history)
    while len(history) - begin < count:
        left -= message_cost(history[begin - 1])
        if left < 0:
            break
        begin -= 1
    while begin < len(history) and history[begin].role == "tool":
        begin += 1
    return list(history[begin:])
