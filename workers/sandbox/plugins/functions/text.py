"""Text and JSON."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field

from shared.schemas.nesting import MAX_REQUEST_DEPTH, too_deep
from workers.sandbox.plugins.context import PluginContext
from workers.sandbox.plugins.errors import CallError
from workers.sandbox.plugins.registry import plugin_function

#: Characters that a joined text may have.
MAX_JOINED = 1024 * 1024
#: Items that a text may be joined of: each is looked at.
MAX_ITEMS = 10_000
#: Lists and objects that JSON may hold.
MAX_CONTAINERS = 50_000
#: Characters of compact JSON that may be indented: indenting multiplies them.
MAX_INDENTED = 64 * 1024

_JSON = json.JSONEncoder(ensure_ascii=False)

Indent = Annotated[int, Field(ge=0, le=8)]


@plugin_function(category="text")
def to_json(context: PluginContext, data: Any, indent: Indent | None = None) -> str:
    """``data`` as JSON; ``indent`` spaces a level, or on one line."""
    del context
    try:
        compact = json.dumps(data, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        fault = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise CallError(
            "ValueError",
            f"to_json(): argument data is no JSON value: {fault}; use str, finite "
            "numbers, bool, None, list and dict",
        ) from None
    if indent is None:
        return compact
    if len(compact) > MAX_INDENTED or too_deep(compact.encode(errors="replace"), data, MAX_REQUEST_DEPTH):
        raise CallError(
            "ValueError",
            f"to_json(): only {MAX_INDENTED} characters and {MAX_REQUEST_DEPTH} levels can be indented; "
            "leave indent out",
        )
    return json.dumps(data, ensure_ascii=False, indent=indent)


@plugin_function(category="text")
def from_json(context: PluginContext, s: str) -> Any:
    """The value that ``s`` is the JSON of. Raises ``ValueError`` with the place of the fault."""
    del context
    if s.count("[") + s.count("{") > MAX_CONTAINERS:
        raise CallError(
            "ValueError",
            f"from_json(): argument s has more than {MAX_CONTAINERS} lists and objects; read it in parts",
        )
    try:
        return json.loads(s, parse_constant=_no_constant)
    except RecursionError:
        raise CallError(
            "ValueError", "from_json(): argument s is nested too deep; use flatter JSON"
        ) from None
    except ValueError as error:
        raise CallError("ValueError", f"from_json(): argument s is no JSON: {error}; correct it") from None


@plugin_function(category="text")
def join_strings(context: PluginContext, list: list[Any], separator: str = ", ") -> str:
    """The items as text, ``separator`` between them; an item that is no string is written as JSON."""
    del context
    if len(list) > MAX_ITEMS:
        raise CallError(
            "ValueError", f"join_strings(): {len(list)} items are more than {MAX_ITEMS}; join fewer at once"
        )
    parts = [as_text("join_strings", item) for item in list]
    length = sum(map(len, parts)) + len(separator) * max(0, len(parts) - 1)
    if length > MAX_JOINED:
        raise CallError(
            "ValueError",
            f"join_strings(): the text would have {length} characters, more than {MAX_JOINED}; join fewer "
            "or shorter strings",
        )
    return separator.join(parts)


@plugin_function(category="text")
def split_string(
    context: PluginContext, text: str, separator: str | None = None, max_splits: int = -1
) -> list[str]:
    """The parts of ``text`` between separators; without one, its words.

    At most ``max_splits`` cuts are made; -1: all of them.
    """
    del context
    if separator == "":
        raise CallError(
            "ValueError",
            "split_string(): argument separator must not be empty; leave it out to split at white space",
        )
    # str.split takes an index of the machine's size.
    return text.split(separator, min(max_splits, len(text)) if max_splits >= 0 else -1)


@plugin_function(category="text")
def count_words(context: PluginContext, text: str) -> int:
    """How many words, as white space divides them."""
    del context
    return len(text.split())


def as_text(function: str, value: Any) -> str:
    """``value`` when it is a string, else its JSON."""
    if isinstance(value, str):
        return value
    try:
        return _JSON.encode(value)
    except (ValueError, TypeError, RecursionError):
        raise CallError(
            "ValueError", f"{function}(): a value is nested too deep or no JSON; give it as a string"
        ) from None


def beginning(function: str, value: Any, length: int) -> str:
    """What :func:`as_text` gives, as far as ``length`` characters and one more: the rest is not made."""
    if isinstance(value, str):
        return value[: length + 1]
    written, room = [], length + 1
    try:
        for part in _JSON.iterencode(value):
            written.append(part[:room])
            room -= len(part)
            if room <= 0:
                break
    except (ValueError, TypeError, RecursionError):
        return as_text(function, value)[: length + 1]
    return "".join(written)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
