"""Ollama's answers → Parley's chunks and responses."""

from __future__ import annotations

from typing import Any

import orjson

from shared.errors import ProviderResponseError
from shared.schemas.controls import ProviderType
from shared.schemas.tool_calls import ToolCallMerger, new_call_id
from workers.providers.base import details
from workers.providers.base.faults import clean, stream_error
from workers.providers.base.models import ChatResponse, ModelInfo, PullProgress, StreamingChunk, Usage
from workers.providers.base.stream_processor import LineSplitter
from workers.providers.base.thinking import ThinkSplitter, split_thinking

#: What Ollama tells of a call, in nanoseconds.
_DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


class LineDecoder:
    """The lines of a stream of JSON objects, without blank ones."""

    __slots__ = ("_splitter",)

    def __init__(self) -> None:
        self._splitter = LineSplitter()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` completes."""
        return [line for line in self._splitter.feed(data) if line and not line.isspace()]

    def flush(self) -> list[bytes]:
        """The line that the end of the stream completes."""
        rest = self._splitter.flush()
        return [rest] if rest and not rest.isspace() else []


class OllamaStreamParser:
    """The lines of one streamed answer, in order."""

    def __init__(self, *, model: str, secrets: tuple[str, ...] = (), content_type: str = "") -> None:
        self.finished = False
        self.ended = False
        self._model = model
        self._secrets = secrets
        self._content_type = content_type
        self._splitter = ThinkSplitter()
        self._spoke = False
        self._calls = 0
        self._last: dict[str, Any] = {}

    def feed(self, event: bytes) -> StreamingChunk | None:
        """The chunk that a line makes.

        Raises:
            ProviderError: the provider tells of a failure.
            ProviderResponseError: the line cannot be understood.
        """
        payload = decode_line(event, self._secrets)
        if payload.get("error"):
            raise stream_error(payload, model=self._model, secrets=self._secrets)
        if payload.get("done"):
            self.finished = self.ended = True
            self._last = payload
        message = payload.get("message")
        if type(message) is not dict:
            if message is None and self.finished:
                return None
            raise _shape("a line has no message")
        content = message.get("content") or ""
        thinking = message.get("thinking") or ""
        if type(content) is not str or type(thinking) is not str:
            raise _shape("content is not text")
        if not self._splitter.decided:
            if thinking:
                held, inner = self._splitter.stop()
                content, thinking = held + content, inner + thinking
            elif content:
                content, thinking = self._splitter.feed(content)
        calls = message.get("tool_calls")
        if calls:
            calls = _deltas(calls, self._calls)
            self._calls += len(calls)
        elif not content and not thinking:
            return None
        self._spoke = True
        return StreamingChunk(content, thinking, calls or None)

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
            if self._spoke:
                raise ProviderResponseError(
                    "the provider's answer was cut off: the stream ended without its last line"
                )
            kind = f" ({clean(self._content_type)})" if self._content_type else ""
            raise ProviderResponseError(
                f"the provider answered with an empty stream{kind}; check the address of the connection"
            )
        return StreamingChunk(
            done=True,
            finish_reason=finish_reason(self._last, self._calls > 0),
            usage=parse_usage(self._last),
            metadata=describe(self._last, self._model),
        )


def parse_response(body: dict[str, Any], *, model: str, secrets: tuple[str, ...] = ()) -> ChatResponse:
    """A whole answer.

    Raises:
        ProviderError: it tells of a failure.
        ProviderResponseError: its shape is wrong.
    """
    if body.get("error"):
        raise stream_error(body, model=model, secrets=secrets)
    message = body.get("message")
    if type(message) is not dict:
        raise _shape("the answer has no message")
    content = message.get("content") or ""
    thinking = message.get("thinking") or ""
    if type(content) is not str or type(thinking) is not str:
        raise _shape("content is not text")
    if not thinking:
        content, thinking = split_thinking(content)
    merger = ToolCallMerger()
    merger.add(_deltas(message.get("tool_calls") or [], 0))
    return ChatResponse(
        content=content,
        thinking=thinking,
        tool_calls=merger.result(),
        finish_reason=finish_reason(body, bool(merger)),
        usage=parse_usage(body),
        metadata=describe(body, model),
    )


def decode_line(line: bytes, secrets: tuple[str, ...] = ()) -> dict[str, Any]:
    """The JSON object of a line.

    Raises:
        ProviderResponseError: it is not JSON, or no object.
    """
    try:
        payload = details.decode(line)
    except orjson.JSONDecodeError:
        excerpt = clean(line[:200].decode("utf-8", "replace")[:120], secrets)
        raise ProviderResponseError(f"the provider sent a line that is not JSON: {excerpt!r}") from None
    if type(payload) is not dict:
        raise _shape("a line is not an object")
    return payload


def finish_reason(last: dict[str, Any], called: bool) -> str | None:
    """Why the answer ended, in OpenAI's words: Ollama says ``stop`` after tool calls too."""
    reason = last.get("done_reason")
    if called and reason in {None, "stop"}:
        return "tool_calls"
    return details.name(reason) if reason else None


def parse_usage(last: dict[str, Any]) -> Usage | None:
    """Ollama's counts; ``None`` when there are none."""
    usage = Usage(details.tokens(last.get("prompt_eval_count")), details.tokens(last.get("eval_count")))
    return usage if usage != Usage() else None


def describe(last: dict[str, Any], model: str) -> dict[str, Any]:
    """What Ollama tells of the call."""
    metadata: dict[str, Any] = {"provider": ProviderType.OLLAMA.value, "model": model}
    if type(last.get("model")) is str:
        metadata["model"] = details.name(last["model"])
    metadata.update({name: last[name] for name in _DURATIONS if type(last.get(name)) is int})
    return metadata


def parse_models(body: dict[str, Any]) -> list[ModelInfo]:
    """The answer of ``GET /api/tags`` or ``/api/ps``.

    Raises:
        ProviderResponseError: its shape is wrong.
    """
    models = body.get("models")
    if type(models) is not list:
        raise _shape("the list of models is missing")
    return [
        ModelInfo(
            name=entry["name"],
            size=details.count(entry.get("size")),
            context_length=details.count(entry.get("context_length")),
            details={name: value for name, value in entry.items() if name not in {"name", "model", "size"}},
        )
        for entry in models
        if type(entry) is dict and type(entry.get("name")) is str
    ]


def parse_model(body: dict[str, Any], name: str) -> ModelInfo:
    """The answer of ``POST /api/show``."""
    info = body.get("model_info")
    context = None
    if type(info) is dict:
        context = next(
            (details.count(value) for key, value in info.items() if key.endswith(".context_length")), None
        )
    kept = ("details", "capabilities", "parameters", "template", "license", "modified_at", "model_info")
    return ModelInfo(
        name=name, context_length=context, details={key: body[key] for key in kept if key in body}
    )


def parse_progress(payload: dict[str, Any], *, model: str, secrets: tuple[str, ...] = ()) -> PullProgress:
    """A line of ``POST /api/pull``.

    Raises:
        ProviderError: the model cannot be fetched.
        ProviderResponseError: the line's shape is wrong.
    """
    if payload.get("error"):
        raise stream_error(payload, model=model, secrets=secrets)
    status = payload.get("status")
    if type(status) is not str:
        raise _shape("a line of progress has no status")
    digest = payload.get("digest")
    return PullProgress(
        status=status,
        digest=digest if type(digest) is str else None,
        total=details.count(payload.get("total")),
        completed=details.count(payload.get("completed")),
        done=status == "success",
    )


def _deltas(calls: object, first: int) -> list[dict[str, Any]]:
    """Ollama's whole calls as deltas, numbered from ``first``."""
    if type(calls) is not list:
        raise _shape("tool_calls is not a list")
    deltas = []
    for index, call in enumerate(calls, first):
        function = call.get("function") if type(call) is dict else None
        if type(function) is not dict:
            raise _shape("a tool call has no function")
        arguments = function.get("arguments")
        deltas.append(
            {
                "index": index,
                "id": details.name(call.get("id") or new_call_id()),
                "type": "function",
                "function": {
                    "name": details.name(function.get("name") or ""),
                    "arguments": details.text(arguments)
                    if type(arguments) is str
                    else orjson.dumps(arguments if arguments is not None else {}).decode(),
                },
            }
        )
    return deltas


def _shape(what: str) -> ProviderResponseError:
    return ProviderResponseError(f"the provider's answer has another shape than expected: {what}")
