"""Requests to build from, short to write."""

from __future__ import annotations

from typing import Any

from shared.schemas.provider_settings import OllamaSettings, OpenAISettings, ProviderSettings
from workers.providers import CallTimeouts, ChatControls, ChatMessage, ChatRequest

TIMEOUTS = CallTimeouts(connect=1, first_token=2, between_tokens=3, total=4)
OLLAMA = OllamaSettings.model_validate({"host": "http://127.0.0.1:11434"})
OPENAI = OpenAISettings.model_validate({"base_url": "http://127.0.0.1:8000/v1"})
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALL: Any = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}


def chat_request(
    settings: ProviderSettings, messages: list[ChatMessage] | None = None, **controls: Any
) -> ChatRequest:
    """A request to ``settings`` with ``controls``."""
    return ChatRequest(
        messages=messages or [ChatMessage(role="user", content="Hello")],
        model="m",
        settings=settings,
        timeouts=TIMEOUTS,
        controls=ChatControls.model_validate(controls),
    )
