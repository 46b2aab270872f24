"""From a stream of chunks to one complete response."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from uuid import UUID

from shared.schemas.tool_calls import ToolCallMerger
from workers.providers.base.models import ChatResponse, StreamingChunk, Usage


class StreamingAccumulator:
    """Collects a streamed answer; what it has so far can be read at any time, also after an error.

    Cancellation needs no flag: the task that reads the stream is cancelled at the chunk that it waits for.
    """

    def __init__(self) -> None:
        self._content: list[str] = []
        self._thinking: list[str] = []
        self._tool_calls = ToolCallMerger()
        self._started = time.perf_counter()
        self._first: float | None = None
        self._finish_reason: str | None = None
        self._usage: Usage | None = None
        self._metadata: dict[str, object] = {}
        self.chunks = 0

    def take(self, chunk: StreamingChunk) -> None:
        """Add one chunk."""
        if chunk.done:
            self._finish_reason = chunk.finish_reason
            self._usage = chunk.usage
            self._metadata = dict(chunk.metadata or {})
            return
        if self._first is None:
            self._first = time.perf_counter() - self._started
        self.chunks += 1
        if chunk.content:
            self._content.append(chunk.content)
        if chunk.thinking:
            self._thinking.append(chunk.thinking)
        if chunk.tool_calls:
            self._tool_calls.add(chunk.tool_calls)

    @property
    def time_to_first_token(self) -> float | None:
        """Seconds until the first chunk; ``None`` before it."""
        return self._first

    @property
    def usage(self) -> Usage:
        """What the provider counted; a chunk counts as a token where it does not."""
        return self._usage or Usage(output_tokens=self.chunks)

    def response(self) -> ChatResponse:
        """The answer so far."""
        metadata = {
            **self._metadata,
            "response_time": round(time.perf_counter() - self._started, 6),
            "time_to_first_token": None if self._first is None else round(self._first, 6),
        }
        return ChatResponse(
            content="".join(self._content),
            thinking="".join(self._thinking),
            tool_calls=self._tool_calls.result(),
            finish_reason=self._finish_reason,
            usage=self._usage,
            metadata=metadata,
        )

    async def accumulate_stream(
        self,
        stream: AsyncIterator[StreamingChunk],
        session_id: UUID | None = None,
        conversation_id: UUID | None = None,
    ) -> ChatResponse:
        """Read a stream to its end and return the complete response.

        Args:
            stream: what a provider streams.
            session_id: told in the response's metadata, when given.
            conversation_id: told in the response's metadata, when given.
        """
        async for chunk in stream:
            self.take(chunk)
        for name, value in (("session_id", session_id), ("conversation_id", conversation_id)):
            if value is not None:
                self._metadata[name] = str(value)
        return self.response()


class StreamingToNonStreamingConverter:
    """A whole answer from something that streams."""

    @staticmethod
    async def convert(stream: AsyncIterator[StreamingChunk]) -> ChatResponse:
        """Read ``stream`` to its end."""
        return await StreamingAccumulator().accumulate_stream(stream)
