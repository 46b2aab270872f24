"""Tool calls of a model, and how their streamed pieces become whole."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypedDict


class ToolFunction(TypedDict):
    """The function that a model wants called; ``arguments`` is the text of a JSON object."""

    name: str
    arguments: str


class ToolCall(TypedDict):
    """A tool call of a model, in the one form that Parley stores and sends."""

    id: str
    type: Literal["function"]
    function: ToolFunction


def new_call_id() -> str:
    """An id for a call that the provider gave none."""
    return f"call_{secrets.token_hex(12)}"


class ToolCallMerger:
    """Joins the deltas of a stream, by their ``index``, to whole calls."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: dict[int, ToolCall] = {}

    def add(self, deltas: Iterable[Mapping[str, Any]]) -> None:
        """Take the deltas of one chunk."""
        for delta in deltas:
            function = delta.get("function") or {}
            index = delta["index"]
            call = self._calls.get(index)
            if call is None:
                call = self._calls[index] = {
                    "id": "",
                    "type": "function",
                    "function": {"name": "", "arguments": ""},
                }
            call["id"] = call["id"] or delta.get("id") or ""
            call["function"]["name"] += function.get("name") or ""
            call["function"]["arguments"] += function.get("arguments") or ""

    def result(self) -> list[ToolCall]:
        """The calls so far, in the order of their index."""
        calls = [self._calls[index] for index in sorted(self._calls)]
        for call in calls:
            call["id"] = call["id"] or new_call_id()
        return calls

    def __bool__(self) -> bool:
        return bool(self._calls)
