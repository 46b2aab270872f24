"""Shapes of Ollama's native API.

https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class OllamaToolFunction(TypedDict):
    """The function of a tool call; unlike OpenAI's, ``arguments`` is an object."""

    name: str
    arguments: dict[str, Any]


class OllamaToolCall(TypedDict, total=False):
    """A tool call; older servers give it no ``id``."""

    id: str
    function: OllamaToolFunction


class OllamaMessage(TypedDict, total=False):
    """A message of the prompt."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: list[OllamaToolCall]
    tool_name: str
    tool_call_id: str


class OllamaOptions(TypedDict, total=False):
    """The options of a model, as far as Parley uses them."""

    temperature: float
    top_p: float
    top_k: int
    num_predict: int
    presence_penalty: float
    frequency_penalty: float
    repeat_penalty: float
    seed: int
    stop: list[str]
    num_ctx: int
