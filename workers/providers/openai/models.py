"""Shapes of OpenAI's chat completions.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from typing import Literal, TypedDict

from shared.schemas.tool_calls import ToolCall


class OpenAIMessage(TypedDict, total=False):
    """A message of the prompt."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None
    tool_calls: list[ToolCall]
    tool_call_id: str
