"""`re` for scripts: flags are plain numbers, DEBUG and LOCALE are left out."""

from __future__ import annotations

import re
from typing import Any

from workers.sandbox.language.words import words

_FLAGS = {
    name: int(getattr(re, name))
    for name in words("A ASCII I IGNORECASE M MULTILINE S DOTALL X VERBOSE U UNICODE NOFLAG")
}
_ALLOWED = 0
for _flag in _FLAGS.values():
    _ALLOWED |= _flag


def compile(pattern: Any, flags: int = 0) -> re.Pattern[Any]:
    """A pattern.

    Raises:
        re.error: it is no regular expression.
        TypeError, ValueError: no pattern, unknown flags.
    """
    if type(flags) is not int:
        raise TypeError("re: flags must be a number made of re.I, re.M, re.S, re.X, re.A")
    if flags & ~_ALLOWED:
        raise ValueError("re: unknown flags; there are re.I, re.M, re.S, re.X, re.A")
    if type(pattern) is re.Pattern:
        if flags:
            raise ValueError("re: flags cannot be given with a compiled pattern")
        return pattern
    if type(pattern) not in (str, bytes):
        raise TypeError("re: the pattern must be a string")
    return re.compile(pattern, flags)


def _function(name: str) -> Any:
    def function(pattern: Any, *args: Any, flags: int = 0, **named: Any) -> Any:
        method = getattr(compile(pattern, flags), name)
        if len(args) > positional:
            raise TypeError(f"re.{name}: give flags (and count) by name, flags=…")
        return method(*args, **named)

    positional = {"sub": 3, "subn": 3, "split": 2}.get(name, 1)
    function.__name__ = function.__qualname__ = name
    return function


def _searching(name: str) -> Any:
    def function(pattern: Any, string: Any, flags: int = 0) -> Any:
        return getattr(compile(pattern, flags), name)(string)

    function.__name__ = function.__qualname__ = name
    return function


def escape(pattern: Any) -> Any:
    """A literal text as a pattern."""
    if type(pattern) not in (str, bytes):
        raise TypeError("re.escape needs a string")
    return re.escape(pattern)


MEMBERS: dict[str, Any] = {
    **_FLAGS,
    **{name: _searching(name) for name in words("findall finditer fullmatch match search")},
    **{name: _function(name) for name in words("split sub subn")},
    "compile": compile,
    "error": re.error,
    "escape": escape,
}
