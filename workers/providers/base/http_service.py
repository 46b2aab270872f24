"""What the providers that are reached over HTTP have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol, TypeVar

import orjson

from shared.errors import ParleyError, ProviderResponseError
from shared.schemas.provider_settings import ProviderSettings
from workers.providers.base.details import decode
from workers.providers.base.faults import clean
from workers.providers.base.http_client import ProviderAnswer, ProviderCall, ProviderHttpClient
from workers.providers.base.models import ChatRequest, StreamingChunk
from workers.providers.base.provider_service import BaseProviderService
from workers.providers.base.timeouts import CallTimeouts

#: Most characters of a streamed answer, its thinking and tool calls included; far more than any model gives.
MAX_ANSWER = 8 * 1024 * 1024
#: What a piece of a tool call counts at least.
_CALL = 64

Given = TypeVar("Given", covariant=True)
Taken = TypeVar("Taken", contravariant=True)


class StreamDecoder(Protocol[Given]):
    """Bytes → the units that a provider's stream consists of."""

    def feed(self, data: bytes) -> Sequence[Given]:
        """The units that ``data`` completes."""

    def flush(self) -> Sequence[Given]:
        """The units that the end of the stream completes."""


class StreamParser(Protocol[Taken]):
    """Units of a provider's stream → chunks."""

    #: The provider said that the answer is complete.
    finished: bool
    #: Nothing more is expected.
    ended: bool

    def feed(self, event: Taken) -> StreamingChunk | None:
        """The chunk that ``event`` makes; ``None`` when it brings neither text nor tool call."""

    def rest(self) -> StreamingChunk | None:
        """What was held back and can now be given."""

    def finish(self) -> StreamingChunk:
        """The last chunk; raises ``ProviderResponseError`` when the answer is not complete."""


class HttpProviderService(BaseProviderService):
    """A provider behind a :class:`ProviderHttpClient`."""

    #: Where chats are sent, below the provider's address.
    _chat_path: str

    def __init__(self, client: ProviderHttpClient, *, of_admin: bool = False) -> None:
        self._client = client
        self._of_admin = of_admin

    async def send_message_stream(self, request: ChatRequest) -> AsyncGenerator[StreamingChunk, None]:
        """The answer while it comes; see :meth:`BaseProviderService.send_message_stream`."""
        answer = await self._open_stream(request)
        try:
            decoder, parser = self._stream_reader(request, answer)
            failure: ParleyError | None = None
            size = 0
            try:
                while not parser.ended:
                    data = await answer.read()
                    for event in decoder.feed(data) if data else decoder.flush():
                        chunk = parser.feed(event)
                        if chunk is not None:
                            answer.token()
                            size += _size(chunk)
                            if size > MAX_ANSWER:
                                raise ProviderResponseError(
                                    f"the provider's answer is longer than {MAX_ANSWER} characters"
                                )
                            yield chunk
                    if not data:
                        break
            except ParleyError as error:
                failure = error
            rest = parser.rest()
            if rest is not None:
                yield rest
            # A connection that breaks after the last word took nothing away.
            if failure is not None and not parser.finished:
                raise failure
            yield parser.finish()
            await answer.drain()
        finally:
            await answer.aclose()

    @abstractmethod
    async def _open_stream(self, request: ChatRequest) -> ProviderAnswer:
        """Send ``request``, to be answered as a stream."""

    @abstractmethod
    def _stream_reader(
        self, request: ChatRequest, answer: ProviderAnswer
    ) -> tuple[StreamDecoder[Any], StreamParser[Any]]:
        """The two halves that read the stream of this provider."""

    def _chat_call(self, request: ChatRequest, *, stream: bool) -> ProviderCall:
        """The call that answers ``request``."""
        return self._call(
            request.settings,
            self._chat_path,
            request.timeouts,
            payload=self.build_request(request, stream=stream),
            model=request.model,
            streamed=stream,
        )

    @abstractmethod
    def _call(
        self,
        settings: ProviderSettings,
        path: str,
        timeouts: CallTimeouts,
        *,
        payload: object = None,
        model: str | None = None,
        streamed: bool = False,
    ) -> ProviderCall:
        """The HTTP request to ``path``: a POST when there is a ``payload``."""

    async def _json(self, call: ProviderCall) -> dict[str, Any]:
        """Send ``call`` and decode the JSON object that it is answered with."""
        answer = await self._client.send(call)
        try:
            body = await answer.read_all()
        finally:
            await answer.aclose()
        return decode_object(body, answer.content_type)


def _size(chunk: StreamingChunk) -> int:
    size = len(chunk.content) + len(chunk.thinking)
    if chunk.tool_calls:
        size += sum(_CALL + len(call["function"]["arguments"]) for call in chunk.tool_calls)
    return size


def decode_object(body: bytes, content_type: str) -> dict[str, Any]:
    """The JSON object in ``body``.

    Raises:
        ProviderResponseError: it is empty, not JSON, or not an object.
    """
    if not body.strip():
        raise ProviderResponseError("the provider's answer is empty")
    try:
        value = decode(body)
    except orjson.JSONDecodeError:
        raise ProviderResponseError(
            f"the provider's answer is not JSON ({clean(content_type) or 'no content type'}); "
            "check the address of the connection"
        ) from None
    if not isinstance(value, dict):
        raise ProviderResponseError("the provider's answer is JSON of another shape than expected")
    return value


def secrets_of(settings: ProviderSettings, *more: str) -> tuple[str, ...]:
    """The texts of ``settings`` that no message may repeat."""
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    return tuple(secret for secret in (key, *settings.extra_headers.values(), *more) if secret)
