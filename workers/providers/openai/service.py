"""The service for OpenAI and the servers that speak its chat completions."""

from __future__ import annotations

import time
from typing import Any, cast

import orjson

from shared.errors import ProviderRequestError, ProviderResponseError
from shared.schemas.controls import ProviderType
from shared.schemas.provider_settings import OpenAISettings, ProviderSettings
from workers.providers.base.http_client import ProviderAnswer, ProviderCall
from workers.providers.base.http_service import (
    HttpProviderService,
    StreamDecoder,
    StreamParser,
    decode_object,
    secrets_of,
)
from workers.providers.base.models import (
    ChatRequest,
    ChatResponse,
    ConnectionReport,
    ModelInfo,
    StreamingChunk,
)
from workers.providers.base.stream_processor import ServerSentEvent, SSEParser
from workers.providers.base.timeouts import CallTimeouts
from workers.providers.openai.request_builder import build_payload
from workers.providers.openai.response_parser import OpenAIStreamParser, parse_models, parse_response


class OpenAIService(HttpProviderService):
    """OpenAI chat completions with any base URL."""

    provider_type = ProviderType.OPENAI
    _chat_path = "/chat/completions"
    settings_type = OpenAISettings

    def build_request(self, request: ChatRequest, *, stream: bool = True) -> dict[str, Any]:
        """The body of ``POST /chat/completions``; see :meth:`BaseProviderService.build_request`."""
        self.check_controls(request)
        settings = self._settings(request.settings)
        usage = settings.base_url not in self._client.refuses_stream_options
        return build_payload(request, settings, stream=stream, usage=usage)

    async def send_message(self, request: ChatRequest) -> ChatResponse:
        """The whole answer at once; see :meth:`BaseProviderService.send_message`."""
        call = self._chat_call(request, stream=False)
        return parse_response(await self._json(call), model=request.model, secrets=call.secrets)

    async def list_models(self, settings: ProviderSettings, timeouts: CallTimeouts) -> list[ModelInfo]:
        """The answer of ``GET /models``; see :meth:`BaseProviderService.list_models`."""
        return parse_models(await self._json(self._call(settings, "/models", timeouts)))

    async def test_connection(self, settings: ProviderSettings, timeouts: CallTimeouts) -> ConnectionReport:
        """Ask for the models; a server that has no such list passes, since it answered.

        A model that is not listed passes too: servers take names that they do not list.
        """
        started = time.monotonic()
        models: list[str] | None
        try:
            models = [model.name for model in await self.list_models(settings, timeouts)]
        except ProviderRequestError:
            models = None
        return ConnectionReport(models=models, response_time=time.monotonic() - started)

    async def _open_stream(self, request: ChatRequest) -> ProviderAnswer:
        call = self._chat_call(request, stream=True)
        try:
            return await self._client.send(call)
        except ProviderRequestError as error:
            refused = self._client.refuses_stream_options
            base_url = self._settings(request.settings).base_url
            if "stream_options" not in error.detail or base_url in refused:
                raise
            refused.add(base_url)
        return await self._client.send(self._chat_call(request, stream=True))

    def _stream_reader(
        self, request: ChatRequest, answer: ProviderAnswer
    ) -> tuple[StreamDecoder[Any], StreamParser[Any]]:
        secrets = secrets_of(request.settings)
        if answer.content_type == "application/json":
            return _WholeBody(answer.content_type), _WholeAnswer(request.model, secrets)
        if answer.content_type == "text/html":
            raise ProviderResponseError(
                "the provider answered with a web page; check the address of the connection "
                "(it usually ends in /v1)"
            )
        parser = OpenAIStreamParser(model=request.model, secrets=secrets, content_type=answer.content_type)
        decoder: StreamDecoder[ServerSentEvent] = SSEParser()
        return decoder, parser

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
        chosen = self._settings(settings)
        target = self._client.resolve(chosen.base_url, of_admin=self._of_admin)
        key = target.key or chosen.api_key
        headers = {"accept": "text/event-stream" if streamed else "application/json"}
        if payload is not None:
            headers["content-type"] = "application/json"
        if key is not None:
            headers["authorization"] = f"Bearer {key.get_secret_value()}"
        if chosen.organization:
            headers["openai-organization"] = chosen.organization
        if chosen.project:
            headers["openai-project"] = chosen.project
        headers.update({name.lower(): value for name, value in chosen.extra_headers.items()})
        return ProviderCall(
            method="GET" if payload is None else "POST",
            target=target,
            path=path,
            timeouts=timeouts,
            headers=headers,
            body=None if payload is None else orjson.dumps(payload),
            secrets=secrets_of(chosen, target.host, key.get_secret_value() if key else ""),
            model=model,
            streamed=streamed,
        )

    def _settings(self, settings: ProviderSettings) -> OpenAISettings:
        return cast(OpenAISettings, self.parse_settings(settings))


class _WholeBody:
    """Collects the body of a server that does not stream although it was asked to."""

    def __init__(self, content_type: str) -> None:
        self._parts: list[bytes] = []
        self._content_type = content_type

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Nothing yet."""
        self._parts.append(data)
        return []

    def flush(self) -> list[dict[str, Any]]:
        """The whole body, decoded."""
        return [decode_object(b"".join(self._parts), self._content_type)]


class _WholeAnswer:
    """A whole answer as one chunk and its end."""

    def __init__(self, model: str, secrets: tuple[str, ...]) -> None:
        self.finished = False
        self.ended = False
        self._model = model
        self._secrets = secrets
        self._last = StreamingChunk(done=True)

    def feed(self, event: dict[str, Any]) -> StreamingChunk | None:
        """The answer's text, thinking and tool calls."""
        response = parse_response(event, model=self._model, secrets=self._secrets)
        self.finished = self.ended = True
        self._last = StreamingChunk(
            done=True,
            finish_reason=response.finish_reason,
            usage=response.usage,
            metadata=response.metadata,
        )
        calls = [{"index": index, **call} for index, call in enumerate(response.tool_calls)]
        if not response.content and not response.thinking and not calls:
            return None
        return StreamingChunk(response.content, response.thinking, calls or None)

    def rest(self) -> StreamingChunk | None:
        """Nothing is held back."""
        return None

    def finish(self) -> StreamingChunk:
        """The last chunk."""
        return self._last
