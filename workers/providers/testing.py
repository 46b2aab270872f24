"""A provider without a network, for the tests of everything that stands on one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Any

from shared.errors import ParleyError, ProviderError
from shared.schemas.controls import ProviderType
from shared.schemas.provider_settings import OllamaSettings, OpenAISettings, ProviderSettings
from shared.schemas.tool_calls import ToolCallMerger
from workers.providers.base.models import (
    ChatRequest,
    ChatResponse,
    ConnectionReport,
    ModelInfo,
    StreamingChunk,
    Usage,
)
from workers.providers.base.provider_service import BaseProviderService
from workers.providers.base.timeouts import CallTimeouts
from workers.providers.ollama import request_builder as ollama
from workers.providers.openai import request_builder as openai

#: One part of a reply: text (streamed word by word), a chunk as it is, an error to raise, or an event to
#: wait for first.
Part = str | StreamingChunk | ParleyError | asyncio.Event
Reply = str | Sequence[Part] | ParleyError


class ScriptedProvider(BaseProviderService):
    """Answers with what it was given, in order, or with what a function makes of each request.

    A reply that does not end with a ``done`` chunk or an error gets one, with the words counted as tokens.
    Timeouts do not apply: a reply takes as long as the events in it.

    Attributes:
        requests: the requests so far.
        open_streams: streams that were begun and not closed.
    """

    def __init__(
        self,
        replies: Iterable[Reply] | Callable[[ChatRequest], Reply] = (),
        *,
        provider_type: ProviderType = ProviderType.OPENAI,
        models: Sequence[str] = ("scripted",),
    ) -> None:
        self.provider_type = provider_type
        self.settings_type = OllamaSettings if provider_type is ProviderType.OLLAMA else OpenAISettings
        self.requests: list[ChatRequest] = []
        self.open_streams = 0
        self._models = list(models)
        self._reply: Callable[[ChatRequest], Reply]
        if callable(replies):
            self._reply = replies
        else:
            remaining = iter(list(replies))
            self._reply = lambda _: next(remaining, ProviderError("the script has no further reply"))

    async def send_message(self, request: ChatRequest) -> ChatResponse:
        """The whole reply; see :meth:`BaseProviderService.send_message`."""
        content: list[str] = []
        thinking: list[str] = []
        calls = ToolCallMerger()
        last = StreamingChunk(done=True)
        async for chunk in self.send_message_stream(request):
            content.append(chunk.content)
            thinking.append(chunk.thinking)
            calls.add(chunk.tool_calls or ())
            if chunk.done:
                last = chunk
        return ChatResponse(
            content="".join(content),
            thinking="".join(thinking),
            tool_calls=calls.result(),
            finish_reason=last.finish_reason,
            usage=last.usage,
            metadata=last.metadata or {},
        )

    async def send_message_stream(self, request: ChatRequest) -> AsyncGenerator[StreamingChunk, None]:
        """The reply, word by word; see :meth:`BaseProviderService.send_message_stream`."""
        self.build_request(request)
        self.requests.append(request)
        reply = self._reply(request)
        parts: Sequence[Part] = (reply,) if isinstance(reply, str | ParleyError) else reply
        words = 0
        called = False
        self.open_streams += 1
        try:
            for part in parts:
                if isinstance(part, ParleyError):
                    raise part
                if isinstance(part, asyncio.Event):
                    await part.wait()
                elif isinstance(part, StreamingChunk):
                    yield part
                    called = called or bool(part.tool_calls)
                    if part.done:
                        return
                else:
                    for word in re.findall(r"\s*\S+\s*|\s+", part):
                        # As over a network, whoever waits for the next word lets others run.
                        await asyncio.sleep(0)
                        words += 1
                        yield StreamingChunk(word)
            yield self._end(request, words, called)
        finally:
            self.open_streams -= 1

    def build_request(self, request: ChatRequest, *, stream: bool = True) -> dict[str, Any]:
        """The body that a provider of this type gets; see :meth:`BaseProviderService.build_request`."""
        self.check_controls(request)
        settings = self.parse_settings(request.settings)
        if isinstance(settings, OllamaSettings):
            return ollama.build_payload(request, settings, stream=stream)
        return openai.build_payload(request, settings, stream=stream)

    async def list_models(self, settings: ProviderSettings, timeouts: CallTimeouts) -> list[ModelInfo]:
        """The models that it was given."""
        return [ModelInfo(name=name) for name in self._models]

    async def test_connection(self, settings: ProviderSettings, timeouts: CallTimeouts) -> ConnectionReport:
        """It can always be reached."""
        return ConnectionReport(version="scripted", models=list(self._models))

    def _end(self, request: ChatRequest, words: int, called: bool) -> StreamingChunk:
        prompt = sum(len(message.content.split()) for message in request.messages)
        return StreamingChunk(
            done=True,
            finish_reason="tool_calls" if called else "stop",
            usage=Usage(prompt, words),
            metadata={"provider": self.provider_type.value, "model": request.model},
        )
