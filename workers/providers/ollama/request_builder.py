"""Parley's request → the body of Ollama's chat."""

from __future__ import annotations

from typing import Any

import orjson

from shared.schemas.controls import ChatControls
from shared.schemas.provider_settings import OllamaSettings
from shared.schemas.tool_calls import ToolCall
from workers.providers.base.models import ChatMessage, ChatRequest
from workers.providers.ollama.models import OllamaMessage, OllamaToolCall

#: Controls that are options of the model, by the name that Ollama gives them.
_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "num_predict",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "repeat_penalty": "repeat_penalty",
    "seed": "seed",
    "stop": "stop",
    "num_ctx": "num_ctx",
}


def build_payload(request: ChatRequest, settings: OllamaSettings, *, stream: bool) -> dict[str, Any]:
    """The body of ``POST /api/chat``; the controls of ``request`` are those that Ollama supports."""
    names = {
        call["id"]: call["function"]["name"] for message in request.messages for call in message.tool_calls
    }
    payload: dict[str, Any] = {
        "model": request.model,
        "messages": [build_message(message, names) for message in request.messages],
        "stream": stream,
    }
    if settings.keep_alive is not None:
        payload["keep_alive"] = settings.keep_alive
    payload.update(build_controls(request.controls))
    return payload


def build_controls(controls: ChatControls) -> dict[str, Any]:
    """The fields that the controls become."""
    fields: dict[str, Any] = {}
    options: dict[str, Any] = {}
    chosen = controls.chosen()
    for name, value in chosen.items():
        if name in _OPTIONS:
            options[_OPTIONS[name]] = value
        elif name == "json_mode":
            fields["format"] = "json" if value == "object" else value
        elif name == "thinking":
            # An effort says more than "on".
            fields["think"] = chosen.get("reasoning_effort", value)
        elif name == "reasoning_effort":
            fields["think"] = value
        else:
            fields[name] = value
    if options:
        fields["options"] = options
    return fields


def build_message(message: ChatMessage, names: dict[str, str] | None = None) -> OllamaMessage:
    """One message; ``names`` are the tools' names by the id of their call."""
    built: OllamaMessage = {"role": message.role, "content": message.content}
    if message.tool_calls:
        built["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        built["tool_call_id"] = message.tool_call_id
        name = (names or {}).get(message.tool_call_id)
        if name:
            built["tool_name"] = name
    return built


def _tool_call(call: ToolCall) -> OllamaToolCall:
    text = call["function"]["arguments"]
    try:
        arguments = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        arguments = None
    if not isinstance(arguments, dict):
        # What a model wrote badly is shown back to it rather than dropped.
        arguments = {"arguments": text}
    return {"id": call["id"], "function": {"name": call["function"]["name"], "arguments": arguments}}
