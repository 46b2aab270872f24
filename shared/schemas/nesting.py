"""How deep JSON may be nested: what reads it recursively, or writes it again, has a limit that it dies of."""

from __future__ import annotations

from typing import Any

#: Levels that the body of a request may have.
MAX_REQUEST_DEPTH = 100
#: Levels that JSON of a provider may have. The encoder writes 254, and stored JSON lies in other JSON.
MAX_PROVIDER_DEPTH = 200


def too_deep(encoded: bytes, value: Any, limit: int) -> bool:
    """Whether ``value``, the JSON in ``encoded``, has more than ``limit`` levels of objects and lists.

    Costs next to nothing for what is short or has few brackets.
    """
    if len(encoded) < 2 * limit or encoded.count(b"[") + encoded.count(b"{") <= limit:
        return False
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
