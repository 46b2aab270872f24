"""Shapes of OpenAI's chat completions.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from shared.schemas.tool_calls import ToolCall


class OpenAIMessage(TypedDict, total=False):
    """A message of the prompt."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None
    tool_calls: list[ToolCall]
    tool_call_id: str


class OpenAIPayload(TypedDict, total=False):
    """Body of ``POST /chat/completions``, as far as Parley uses it."""

    model: str
    messages: list[OpenAIMessage]
    stream: bool
    stream_options: dict[str, bool]
    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    max_completion_tokens: int
    presence_penalty: float
    frequency_penalty: float
    repeat_penalty: float
    repetition_penalty: float
    seed: int
    stop: list[str]
    response_format: dict[str, Any]
    reasoning_effort: str
    verbosity: str
    chat_template_kwargs: dict[str, Any]
    tools: list[dict[str, Any]]
    tool_choice: str | dict[str, Any]
