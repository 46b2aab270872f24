"""The service for Ollama."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Any, cast

import orjson

from shared.errors import ModelNotFoundError, ProviderResponseError
from shared.schemas.controls import ProviderType
from shared.schemas.provider_settings import OllamaSettings, ProviderSettings
from workers.providers.base.faults import clean
from workers.providers.base.http_client import ProviderAnswer, ProviderCall
from workers.providers.base.http_service import (
    HttpProviderService,
    StreamDecoder,
    StreamParser,
    secrets_of,
)
from workers.providers.base.models import ChatRequest, ChatResponse, ConnectionReport, ModelInfo, PullProgress
from workers.providers.base.timeouts import CallTimeouts
from workers.providers.ollama.request_builder import build_payload
from workers.providers.ollama.response_parser import (
    LineDecoder,
    OllamaStreamParser,
    decode_line,
    parse_model,
    parse_models,
    parse_progress,
    parse_response,
)


class OllamaService(HttpProviderService):
    """Ollama's native API."""

    provider_type = ProviderType.OLLAMA
    _chat_path = "/api/chat"
    settings_type = OllamaSettings

    def build_request(self, request: ChatRequest, *, stream: bool = True) -> dict[str, Any]:
        """The body of ``POST /api/chat``; see :meth:`BaseProviderService.build_request`."""
        self.check_controls(request)
        return build_payload(request, self._settings(request.settings), stream=stream)

    async def send_message(self, request: ChatRequest) -> ChatResponse:
        """The whole answer at once; see :meth:`BaseProviderService.send_message`."""
        call = self._chat_call(request, stream=False)
        return parse_response(await self._json(call), model=request.model, secrets=call.secrets)

    async def list_models(self, settings: ProviderSettings, timeouts: CallTimeouts) -> list[ModelInfo]:
        """The models on the server's disk."""
        return parse_models(await self._json(self._call(settings, "/api/tags", timeouts)))

    async def running_models(self, settings: ProviderSettings, timeouts: CallTimeouts) -> list[ModelInfo]:
        """The models in the server's memory."""
        return parse_models(await self._json(self._call(settings, "/api/ps", timeouts)))

    async def show_model(self, settings: ProviderSettings, model: str, timeouts: CallTimeouts) -> ModelInfo:
        """What the server knows of ``model``, its context length among it."""
        call = self._call(settings, "/api/show", timeouts, payload={"model": model}, model=model)
        return parse_model(await self._json(call), model)

    async def test_connection(self, settings: ProviderSettings, timeouts: CallTimeouts) -> ConnectionReport:
        """Ask for the version and the models; see :meth:`BaseProviderService.test_connection`."""
        started = time.monotonic()
        version = (await self._json(self._call(settings, "/api/version", timeouts))).get("version")
        models = [model.name for model in await self.list_models(settings, timeouts)]
        wanted = settings.model
        if wanted is not None and wanted not in models and f"{wanted}:latest" not in models:
            raise ModelNotFoundError(
                f"the provider has no model {clean(wanted)!r}; pull it first, or choose one that it lists"
            )
        return ConnectionReport(
            version=str(version) if version else None,
            models=models,
            response_time=time.monotonic() - started,
        )

    async def pull_model(
        self, settings: ProviderSettings, model: str, timeouts: CallTimeouts
    ) -> AsyncGenerator[PullProgress, None]:
        """Have the server fetch ``model``; each step of progress counts as a token for the timeouts."""
        payload = {"model": model, "stream": True}
        call = self._call(settings, "/api/pull", timeouts, payload=payload, model=model, streamed=True)
        answer = await self._client.send(call)
        try:
            decoder = LineDecoder()
            done = False
            while not done:
                data = await answer.read()
                for line in decoder.feed(data) if data else decoder.flush():
                    progress = parse_progress(
                        decode_line(line, call.secrets), model=model, secrets=call.secrets
                    )
                    answer.token()
                    yield progress
                    done = done or progress.done
                if not data:
                    break
            if not done:
                raise ProviderResponseError("the provider stopped fetching the model without saying why")
            await answer.drain()
        finally:
            await answer.aclose()

    async def _open_stream(self, request: ChatRequest) -> ProviderAnswer:
        return await self._client.send(self._chat_call(request, stream=True))

    def _stream_reader(
        self, request: ChatRequest, answer: ProviderAnswer
    ) -> tuple[StreamDecoder[Any], StreamParser[Any]]:
        if answer.content_type == "text/html":
            raise ProviderResponseError(
                "the provider answered with a web page; check the address of the connection "
                "(Ollama's has no path after the port)"
            )
        parser = OllamaStreamParser(
            model=request.model,
            secrets=secrets_of(request.settings),
            content_type=answer.content_type,
        )
        return LineDecoder(), parser

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
        target = self._client.resolve(chosen.host, of_admin=self._of_admin)
        headers = {"accept": "application/x-ndjson" if streamed else "application/json"}
        if payload is not None:
            headers["content-type"] = "application/json"
        if chosen.api_key is not None:
            headers["authorization"] = f"Bearer {chosen.api_key.get_secret_value()}"
        headers.update({name.lower(): value for name, value in chosen.extra_headers.items()})
        return ProviderCall(
            method="GET" if payload is None else "POST",
            target=target,
            path=path,
            timeouts=timeouts,
            headers=headers,
            body=None if payload is None else orjson.dumps(payload),
            secrets=secrets_of(chosen, target.host),
            model=model,
            streamed=streamed,
        )

    def _settings(self, settings: ProviderSettings) -> OllamaSettings:
        return cast(OllamaSettings, self.parse_settings(settings))
