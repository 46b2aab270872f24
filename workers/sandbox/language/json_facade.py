"""`json` for scripts: text in, text out; no hooks that reach codec objects."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def loads(s: Any, *, parse_float: None = None) -> Any:
    """Read JSON text.

    Raises:
        json.JSONDecodeError: no JSON.
        TypeError: neither str nor bytes.
    """
    if type(s) not in (str, bytes):
        raise TypeError("json.loads needs a string")
    return json.loads(s)


def dumps(
    obj: Any,
    *,
    indent: int | str | None = None,
    sort_keys: bool = False,
    ensure_ascii: bool = True,
    separators: tuple[str, str] | None = None,
    default: Callable[[Any], Any] | None = None,
    skipkeys: bool = False,
    allow_nan: bool = True,
) -> str:
    """Write a value as JSON text.

    Raises:
        TypeError: a part that JSON cannot hold.
        ValueError: a cycle.
    """
    if type(indent) not in (int, str, type(None)):
        raise TypeError("json.dumps: indent must be a number or a string")
    return json.dumps(
        obj,
        indent=indent,
        sort_keys=bool(sort_keys),
        ensure_ascii=bool(ensure_ascii),
        separators=separators,
        default=default,
        skipkeys=bool(skipkeys),
        allow_nan=bool(allow_nan),
    )


MEMBERS = {"loads": loads, "dumps": dumps, "JSONDecodeError": json.JSONDecodeError}
