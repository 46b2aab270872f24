"""Parley's request → the body of OpenAI's chat completions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from shared.schemas.controls import ChatControls
from shared.schemas.provider_settings import OpenAISettings
from workers.providers.base.models import ChatMessage, ChatRequest
from workers.providers.openai.models import OpenAIMessage

#: What OpenAI takes as the name of a schema.
_SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

_Form = Callable[[Any, OpenAISettings], dict[str, Any]]

#: Each control whose form differs from its name.
_FORMS: dict[str, _Form] = {
    "max_tokens": lambda value, settings: {settings.max_tokens_field: value},
    "repeat_penalty": lambda value, settings: {settings.repeat_penalty_field: value},
    "json_mode": lambda value, _: {"response_format": _response_format(value)},
    "thinking": lambda value, _: {"chat_template_kwargs": {"enable_thinking": value}},
}


def build_payload(
    request: ChatRequest, settings: OpenAISettings, *, stream: bool, usage: bool = True
) -> dict[str, Any]:
    """The body of ``POST /chat/completions``.

    Args:
        request: its controls are those that the provider supports.
        settings: the connection's.
        stream: ask for server-sent events.
        usage: ask for a chunk with the usage at the end of the stream.
    """
    payload: dict[str, Any] = {
        "model": request.model,
        "messages": [build_message(message) for message in request.messages],
        "stream": stream,
    }
    if stream and usage:
        payload["stream_options"] = {"include_usage": True}
    payload.update(build_controls(request.controls, settings))
    return payload


def build_controls(controls: ChatControls, settings: OpenAISettings) -> dict[str, Any]:
    """The fields that the controls become."""
    fields: dict[str, Any] = {}
    for name, value in controls.chosen().items():
        form = _FORMS.get(name)
        fields.update(form(value, settings) if form else {name: value})
    return fields


def build_message(message: ChatMessage) -> OpenAIMessage:
    """One message; an assistant's that only calls tools has no content."""
    built: OpenAIMessage = {"role": message.role, "content": message.content}
    if message.tool_calls:
        built["tool_calls"] = list(message.tool_calls)
        if not message.content:
            built["content"] = None
    if message.tool_call_id is not None:
        built["tool_call_id"] = message.tool_call_id
    return built


def _response_format(mode: str | dict[str, Any]) -> dict[str, Any]:
    if isinstance(mode, str):
        return {"type": "json_object"}
    title = mode.get("title")
    named = isinstance(title, str) and _SCHEMA_NAME.fullmatch(title)
    schema: dict[str, Any] = {"name": title if named else "answer", "schema": mode}
    # Strict adherence is worth having, and refused for a schema that does not close all its objects.
    if _is_closed(mode):
        schema["strict"] = True
    return {"type": "json_schema", "json_schema": schema}


def _is_closed(schema: object) -> bool:
    """Whether every object in ``schema`` names and requires all of its properties."""
    if isinstance(schema, list):
        return all(_is_closed(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    kind = schema.get("type")
    properties = schema.get("properties")
    if kind == "object" or isinstance(properties, dict):
        if schema.get("additionalProperties") is not False:
            return False
        if not isinstance(properties, dict) or set(properties) != set(schema.get("required") or ()):
            return False
    return all(_is_closed(value) for value in schema.values())
