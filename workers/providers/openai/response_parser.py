"""Answers of OpenAI's chat completions → Parley's chunks and responses."""

from __future__ import annotations

from typing import Any

import orjson

from shared.errors import ProviderResponseError
from shared.schemas.controls import ProviderType
from shared.schemas.tool_calls import ToolCallMerger
from workers.providers.base import details
from workers.providers.base.faults import clean, stream_error
from workers.providers.base.models import ChatResponse, ModelInfo, StreamingChunk, Usage
from workers.providers.base.stream_processor import ServerSentEvent
from workers.providers.base.thinking import ThinkSplitter, split_thinking

_METADATA = ("id", "created", "system_fingerprint", "service_tier", "timings")

#: Tool calls of one answer. Clients make lists as long as an index says.
_MAX_CALLS = 1024


class OpenAIStreamParser:
    """The events of one streamed answer, in order."""

    def __init__(self, *, model: str, secrets: tuple[str, ...] = (), content_type: str = "") -> None:
        self.finished = False
        self.ended = False
        self._model = model
        self._secrets = secrets
        self._content_type = content_type
        self._splitter = ThinkSplitter()
        self._seen = False
        self._spoke = False
        self._finish_reason: str | None = None
        self._usage: Usage | None = None
        self._metadata: dict[str, Any] = {"provider": ProviderType.OPENAI.value, "model": model}
        self._described = False
        self._call_ids: dict[str, int] = {}
        self._last_call = -1

    def feed(self, event: ServerSentEvent) -> StreamingChunk | None:
        """The chunk that ``event`` makes.

        Raises:
            ProviderError: the provider tells of a failure.
            ProviderResponseError: the event cannot be understood.
        """
        data = event.data
        if data == b"[DONE]" or data.strip() == b"[DONE]":
            self.ended = True
            self.finished = self.finished or self._spoke
            return None
        self._seen = True
        try:
            payload = details.decode(data)
        except orjson.JSONDecodeError:
            text = data.decode("utf-8", "replace")
            if event.event == b"error":
                raise stream_error(text, model=self._model, secrets=self._secrets) from None
            raise ProviderResponseError(
                f"the provider sent an event that is not JSON: {clean(text[:120], self._secrets)!r}"
            ) from None
        if type(payload) is not dict:
            raise _shape("an event is not an object")
        if event.event == b"error" or payload.get("error"):
            raise stream_error(payload, model=self._model, secrets=self._secrets)
        if not self._described:
            self._describe(payload)
        usage = payload.get("usage")
        if usage is not None:
            self._usage = parse_usage(usage) or self._usage
        choices = payload.get("choices")
        if not choices:
            if choices is None and usage is None:
                raise _shape("an event has no choices")
            if "timings" in payload:
                describe({"timings": payload["timings"]}, self._metadata)
            return None
        if type(choices) is not list or type(choices[0]) is not dict:
            raise _shape("choices is not a list of objects")
        return self._choice(choices[0])

    def rest(self) -> StreamingChunk | None:
        """What was held back for a closing tag."""
        content, thinking = self._splitter.flush()
        return StreamingChunk(content, thinking) if content or thinking else None

    def finish(self) -> StreamingChunk:
        """The last chunk.

        Raises:
            ProviderResponseError: the stream was empty, or ended before the answer did.
        """
        if not self.finished:
            raise unfinished(self._seen, self._spoke, self._content_type)
        return StreamingChunk(
            done=True, finish_reason=self._finish_reason, usage=self._usage, metadata=self._metadata
        )

    def _choice(self, choice: dict[str, Any]) -> StreamingChunk | None:
        if choice.get("index"):
            return None  # Parley asks for one
        reason = choice.get("finish_reason")
        if reason is not None:
            self._finish_reason = details.name(reason)
            self.finished = True
        delta = choice.get("delta")
        if type(delta) is not dict:
            if delta is None and reason is not None:
                return None
            raise _shape("a choice has no delta")
        content = delta.get("content") or ""
        thinking = delta.get("reasoning_content") or delta.get("reasoning") or choice.get("reasoning") or ""
        if type(content) is not str:
            content, parts = _parts(content)
            thinking = thinking or parts
        if type(thinking) is not str:
            thinking = ""
        refusal = delta.get("refusal")
        if type(refusal) is str and refusal:
            content += refusal
            self._metadata["refusal"] = True
        if not self._splitter.decided:
            if thinking:
                held, inner = self._splitter.stop()
                content, thinking = held + content, inner + thinking
            elif content:
                content, thinking = self._splitter.feed(content)
        calls = delta.get("tool_calls")
        if calls:
            calls = self._calls(calls)
        elif not content and not thinking:
            return None
        self._spoke = True
        return StreamingChunk(content, thinking, calls or None)

    def _calls(self, calls: object) -> list[dict[str, Any]]:
        if type(calls) is not list:
            raise _shape("tool_calls is not a list")
        return [self._call(call) for call in calls]

    def _call(self, call: object) -> dict[str, Any]:
        """A delta with an index: some servers send whole calls without one."""
        if type(call) is not dict or type(call.get("function") or {}) is not dict:
            raise _shape("a tool call is not an object")
        function = call.get("function") or {}
        call_id = details.name(call.get("id") or "")
        index = call.get("index")
        if type(index) is not int:
            if call_id and call_id not in self._call_ids:
                index = self._last_call + 1
            else:
                index = (
                    self._call_ids.get(call_id, max(self._last_call, 0))
                    if call_id
                    else max(self._last_call, 0)
                )
        if not 0 <= index < _MAX_CALLS:
            raise _shape(f"the index of a tool call is not between 0 and {_MAX_CALLS - 1}")
        self._last_call = max(self._last_call, index)
        delta: dict[str, Any] = {"index": index}
        if call_id:
            self._call_ids[call_id] = index
            delta["id"] = call_id
            delta["type"] = "function"
        delta["function"] = _function(function)
        return delta

    def _describe(self, payload: dict[str, Any]) -> None:
        self._described = True
        describe(payload, self._metadata)


def parse_response(body: dict[str, Any], *, model: str, secrets: tuple[str, ...] = ()) -> ChatResponse:
    """A whole answer.

    Raises:
        ProviderError: it tells of a failure.
        ProviderResponseError: its shape is wrong.
    """
    if body.get("error"):
        raise stream_error(body, model=model, secrets=secrets)
    choices = body.get("choices")
    if type(choices) is not list or not choices or type(choices[0]) is not dict:
        raise _shape("the answer has no choices")
    choice = choices[0]
    message = choice.get("message")
    if type(message) is not dict:
        raise _shape("the answer has no message")
    content = message.get("content") or ""
    thinking = message.get("reasoning_content") or message.get("reasoning") or choice.get("reasoning") or ""
    if type(content) is not str:
        content, parts = _parts(content)
        thinking = thinking or parts
    if type(thinking) is not str:
        thinking = ""
    metadata: dict[str, Any] = {"provider": ProviderType.OPENAI.value, "model": model}
    describe(body, metadata)
    refusal = message.get("refusal")
    if type(refusal) is str and refusal:
        content += refusal
        metadata["refusal"] = True
    if not thinking:
        content, thinking = split_thinking(content)
    merger = ToolCallMerger()
    calls = message.get("tool_calls") or []
    if type(calls) is not list or not all(type(call) is dict for call in calls):
        raise _shape("tool_calls is not a list of objects")
    merger.add(
        {
            "index": index,
            "id": details.name(call.get("id") or ""),
            "function": _function(call.get("function") or {}),
        }
        for index, call in enumerate(calls)
    )
    reason = choice.get("finish_reason")
    return ChatResponse(
        content=content,
        thinking=thinking,
        tool_calls=merger.result(),
        finish_reason=details.name(reason) if reason is not None else None,
        usage=parse_usage(body.get("usage")),
        metadata=metadata,
    )


def parse_usage(usage: object) -> Usage | None:
    """OpenAI's counts; ``None`` when there are none."""
    if type(usage) is not dict:
        return None
    parts = usage.get("completion_tokens_details")
    counted = Usage(
        details.tokens(usage.get("prompt_tokens")),
        details.tokens(usage.get("completion_tokens")),
        details.tokens(parts.get("reasoning_tokens")) if type(parts) is dict else None,
    )
    return counted if counted != Usage() else None


def parse_models(body: dict[str, Any]) -> list[ModelInfo]:
    """The answer of ``GET /models``.

    Raises:
        ProviderResponseError: its shape is wrong.
    """
    data = body.get("data")
    if type(data) is not list:
        raise _shape("the list of models has no data")
    return [_model(entry) for entry in data if type(entry) is dict and type(entry.get("id")) is str]


def describe(payload: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Take over what the provider tells of the call."""
    if type(payload.get("model")) is str:
        metadata["model"] = details.name(payload["model"])
    for name in _METADATA:
        if payload.get(name) is not None and details.small(payload[name]):
            metadata[name] = payload[name]


def unfinished(seen: bool, spoke: bool, content_type: str) -> ProviderResponseError:
    """The error for a stream that ended before the answer did."""
    if spoke:
        return ProviderResponseError(
            "the provider's answer was cut off: the stream ended without its end mark"
        )
    if seen:
        return ProviderResponseError("the provider's stream ended before it said anything")
    kind = f" ({clean(content_type)})" if content_type else ""
    return ProviderResponseError(
        f"the provider answered with an empty stream{kind}; check the address of the connection"
    )


def _model(entry: dict[str, Any]) -> ModelInfo:
    meta = entry.get("meta")
    context = (
        details.count(entry.get("max_model_len"))
        or details.count(entry.get("context_length"))
        # llama.cpp: what it was started with, then what the model was trained for.
        or (
            details.count(meta.get("n_ctx")) or details.count(meta.get("n_ctx_train"))
            if type(meta) is dict
            else None
        )
    )
    rest = {name: value for name, value in entry.items() if name != "id"}
    return ModelInfo(name=entry["id"], context_length=context, details=rest)


def _function(function: object) -> dict[str, str]:
    if type(function) is not dict:
        raise _shape("a tool call has no function")
    arguments = function.get("arguments")
    if arguments is None:
        arguments = ""
    elif type(arguments) is not str:
        arguments = orjson.dumps(arguments).decode()
    part = {"arguments": details.text(arguments)}
    if function.get("name"):
        part["name"] = details.name(function["name"])
    return part


def _parts(content: object) -> tuple[str, str]:
    """Text and thinking of a content that comes in typed parts."""
    if type(content) is not list:
        raise _shape("content is neither text nor a list of parts")
    text: list[str] = []
    thinking: list[str] = []
    for part in content:
        if type(part) is str:
            text.append(part)
        elif type(part) is dict and part.get("type") == "thinking":
            inner = part.get("thinking")
            thinking.append(inner if type(inner) is str else _parts(inner or [])[0])
        elif type(part) is dict and type(part.get("text")) is str:
            text.append(part["text"])
        else:
            raise _shape("a part of the content has no text")
    return "".join(text), "".join(thinking)


def _shape(what: str) -> ProviderResponseError:
    return ProviderResponseError(f"the provider's answer has another shape than expected: {what}")
