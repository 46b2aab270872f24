"""A turn as a stream of OpenAI's chunks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

import orjson

from gateway.openai.completion import DONE, Completion, error_event, finish_reason
from gateway.openai.failures import CompletionCancelledError, CompletionFailedError, StreamInterruptedError
from gateway.turns import OpenTurn
from shared.errors import ParleyError, ShuttingDownError
from shared.jobs.event_log import Entry
from shared.schemas.events import REBUILT, EventType

#: What a client is told, in one way or another.
_TOLD = frozenset({EventType.CHUNK, EventType.DONE, EventType.CANCELLED, EventType.ERROR})


class CompletionStream:
    """Turns the events of a turn into chunks.

    Before the first delta nothing is said that could not be taken back: a turn that fails until then is
    answered with a status of its own, one that begins again is not noticed.
    """

    def __init__(self, turn: OpenTurn, completion: Completion) -> None:
        self._turn = turn
        self._completion = completion
        self._events = cast("AsyncGenerator[list[Entry], None]", turn.events())
        self._next: asyncio.Future[list[Entry] | None] | None = None
        self._held: list[Entry] = []
        self._content: list[str] = []
        self._thinking: list[str] = []
        self._called = False
        #: Whether a delta was sent.
        self._begun = False
        #: Whether the next chunk holds the whole text, that which was sent included.
        self._repeats = False
        self._ended = False
        self._interrupted = False

    @property
    def opening(self) -> bytes:
        """The first chunk."""
        return self._completion.delta({"role": "assistant", "content": ""})

    async def begin(self, patience: float) -> None:
        """Return when there is something to send, or after ``patience`` seconds.

        Raises:
            ParleyError: the turn failed, or was cancelled, before it said anything.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while (left := deadline - loop.time()) > 0:
            waiting = self._ahead()
            done, _ = await asyncio.wait({waiting}, timeout=left)
            if not done:
                return
            batch = await self._take()
            if batch is None:
                raise ShuttingDownError(headers={"Retry-After": "1"})
            told = [entry for entry in since_restart(batch) if entry.type in _TOLD]
            if told:
                if (error := _failure(told[0])) is not None:
                    raise error
                self._held = told
                return

    async def batches(self) -> AsyncIterator[list[Entry]]:
        """The events to be sent, what :meth:`begin` saw included; ends with the answer, not with the turn."""
        if self._held:
            yield self._held
        while not self._ended:
            batch = await self._take()
            if batch is None:
                return
            yield batch

    def encode(self, batch: list[Entry]) -> bytes:
        """The chunks of a batch."""
        parts: list[bytes] = []
        for entry in batch if self._begun else since_restart(batch):
            if self._ended:
                break
            if entry.type == EventType.CHUNK:
                parts.append(self._chunk(entry.payload()))
            elif entry.type == EventType.DONE:
                parts.append(self._end(entry.payload()["metadata"]))
            elif entry.type == EventType.RESTART:
                self._restart(entry, parts)
            elif (error := _failure(entry)) is not None:
                parts.append(self._fail(error))
        return b"".join(parts)

    def rest(self) -> bytes:
        """What is said when the gateway stops in the middle of the answer."""
        return b"" if self._ended else self._fail(ShuttingDownError("The gateway stopped; ask another one."))

    async def close(self, *, hung_up: bool = False) -> None:
        """Stop listening; the turn is cancelled when the client hung up on it or cannot take its text."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
        await self._events.aclose()
        await self._turn.close(hung_up=(hung_up and not self._ended) or self._interrupted)

    def _ahead(self) -> asyncio.Future[list[Entry] | None]:
        if self._next is None:
            self._next = asyncio.ensure_future(_next_of(self._events))
        return self._next

    async def _take(self) -> list[Entry] | None:
        batch = await self._ahead()
        self._next = None
        return batch

    def _chunk(self, data: dict[str, Any]) -> bytes:
        content, thinking = data.get("content") or "", data.get("thinking") or ""
        calls = data.get("tool_calls")
        if self._repeats:
            self._repeats = False
            said, thought = "".join(self._content), "".join(self._thinking)
            if self._called or not content.startswith(said) or not thinking.startswith(thought):
                return self._interrupt()
            content, thinking = content[len(said) :], thinking[len(thought) :]
        delta: dict[str, Any] = {}
        if content:
            delta["content"] = content
            self._content.append(content)
        if thinking:
            delta["reasoning_content"] = thinking
            self._thinking.append(thinking)
        if calls:
            delta["tool_calls"] = calls
            self._called = True
        if not delta:
            return b""
        self._begun = True
        return self._completion.delta(delta)

    def _end(self, metadata: dict[str, Any]) -> bytes:
        self._ended = True
        parts = [self._completion.delta({}, finish_reason(metadata, called=self._called))]
        if self._completion.include_usage:
            parts.append(self._completion.usage_chunk(metadata))
        return b"".join([*parts, DONE])

    def _restart(self, entry: Entry, parts: list[bytes]) -> None:
        if not self._begun:
            return
        if entry.id.seq >= REBUILT:
            # Told again from Postgres: the same text as was sent, and what was missing of it.
            self._repeats = True
        else:
            parts.append(self._interrupt())

    def _interrupt(self) -> bytes:
        self._interrupted = True
        return self._fail(StreamInterruptedError())

    def _fail(self, error: ParleyError) -> bytes:
        self._ended = True
        return error_event(error)


def since_restart(batch: list[Entry]) -> list[Entry]:
    """The events that count for a client that was told nothing yet."""
    for index in range(len(batch) - 1, -1, -1):
        if batch[index].type == EventType.RESTART:
            return batch[index + 1 :]
    return batch


def _failure(entry: Entry) -> ParleyError | None:
    if entry.type == EventType.ERROR:
        error = orjson.loads(entry.data)
        return CompletionFailedError(error["code"], error["message"])
    return CompletionCancelledError() if entry.type == EventType.CANCELLED else None


async def _next_of(events: AsyncGenerator[list[Entry], None]) -> list[Entry] | None:
    return await anext(events, None)
