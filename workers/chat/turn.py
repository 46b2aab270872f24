"""Stage 3 of a turn: the model answers, and every piece of its answer is told as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from shared.schemas.events import EventType
from workers.chat.accumulator import StreamingAccumulator
from workers.chat.history import Window, budget, newest_that_fit
from workers.providers.base.models import ChatMessage, ChatRequest, StreamingChunk
from workers.providers.base.provider_service import BaseProviderService

#: The stage in which the model answers, and what clients see meanwhile.
ANSWER_STAGE = 3
GENERATING = "generating"


class EventSink(Protocol):
    """Where a turn tells its events."""

    def emit(self, event: EventType, data: dict[str, Any]) -> object:
        """Tell an event; it keeps its place among the others."""

    @property
    def full(self) -> bool:
        """Whether so much waits to be told that the turn should stop reading."""

    async def room(self) -> None:
        """Return when it is no longer full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnContext:
    """What a turn is made of.

    Attributes:
        system_prompt: the persona's template, resolved; ``None`` without a persona.
        history: the branch before the newest message, oldest first.
        newest: what the turn answers: the user message, or the last messages that a client sent itself.
        window: what the persona wants of the history.
        context_length: of the model, in tokens.
    """

    system_prompt: str | None
    history: Sequence[ChatMessage]
    newest: Sequence[ChatMessage]
    window: Window
    context_length: int


def build_messages(context: TurnContext, max_tokens: int | None) -> list[ChatMessage]:
    """The messages of the provider call: system prompt, the newest history that fits, what is answered.

    System messages of the history are always sent. Those at its beginning are joined to the persona's prompt,
    after a blank line: many models take one system message only, and only as the first.
    """
    prompt = context.system_prompt or ""
    pinned = [said for said in context.history if said.role == "system"]
    spoken = [said for said in context.history if said.role != "system"]
    fixed = [said.content for said in (*pinned, *context.newest)]
    fixed += [call["function"]["arguments"] for said in context.newest for call in said.tool_calls]
    room = budget(context.context_length, max_tokens, prompt, *fixed)
    left_out = len(spoken) - len(newest_that_fit(spoken, room, context.window))
    messages: list[ChatMessage] = []
    for said in context.history:
        if said.role == "system" or left_out <= 0:
            messages.append(said)
        else:
            left_out -= 1
    return _with_prompt(prompt, [*messages, *context.newest])


def _with_prompt(prompt: str, messages: list[ChatMessage]) -> list[ChatMessage]:
    if not prompt.strip():
        return messages
    leading = 0
    while leading < len(messages) and messages[leading].role == "system":
        leading += 1
    system = "\n\n".join([prompt, *(said.content for said in messages[:leading])])
    return [ChatMessage(role="system", content=system), *messages[leading:]]


async def stream_answer(
    provider: BaseProviderService,
    request: ChatRequest,
    events: EventSink,
    accumulator: StreamingAccumulator,
) -> None:
    """Have the model answer; each chunk is kept in ``accumulator`` and told to ``events``.

    Raises:
        ProviderError: the call failed; what came before is in ``accumulator``.
    """
    stage = {"stage": ANSWER_STAGE, "label": GENERATING, "modules": []}
    events.emit(EventType.STAGE_UPDATE, {**stage, "state": "started"})
    async with aclosing(provider.send_message_stream(request)) as chunks:
        async for raw in chunks:
            chunk = _storable(raw)
            accumulator.take(chunk)
            if chunk.content or chunk.thinking or chunk.tool_calls:
                events.emit(
                    EventType.CHUNK,
                    {"content": chunk.content, "thinking": chunk.thinking, "tool_calls": chunk.tool_calls},
                )
                if events.full:
                    await events.room()
    events.emit(EventType.STAGE_UPDATE, {**stage, "state": "finished"})


def _storable(chunk: StreamingChunk) -> StreamingChunk:
    """The chunk without NUL, which Postgres cannot store: what is told must equal what is kept."""
    if "\x00" in chunk.content or "\x00" in chunk.thinking:
        return chunk._replace(
            content=chunk.content.replace("\x00", ""), thinking=chunk.thinking.replace("\x00", "")
        )
    return chunk
