"""Plain values: what may leave a script, as variables and as arguments of calls."""

from __future__ import annotations

import math
import re
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

#: Nesting of lists and dicts that leaves a script.
DEPTH_LIMIT = 64
#: Larger integers do not survive databases and browsers.
_INT_LIMIT = 2**63
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class NotPlain(ValueError):  # noqa: N818
    """A value that JSON cannot hold; the message says which part and what to do."""


class Record(dict[str, Any]):
    """An object that the host answered with: a dict whose keys can be read as attributes, too."""

    __slots__ = ()


#: Types that are published and sent as JSON objects and arrays; exact types, subclasses are not trusted.
_MAPPINGS = frozenset({dict, Record, OrderedDict, defaultdict, Counter})
_SEQUENCES = frozenset({list, tuple, deque})


def is_named_tuple(value: object) -> bool:
    """Whether the value's class was made by `collections.namedtuple`."""
    kind = type(value)
    return type(kind) is type and kind.__bases__ == (tuple,) and "_fields" in kind.__dict__


def plain(value: object, where: str = "the value", depth: int = 0) -> Any:
    """A copy made of str, int, float, bool, None, list and dict alone.

    Raises:
        NotPlain: a part that JSON cannot hold: other types, NaN, huge numbers, cycles, NUL characters.
    """
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        return _text(value, where)  # type: ignore[arg-type]
    if kind is int:
        if not -_INT_LIMIT <= value < _INT_LIMIT:  # type: ignore[operator]
            raise NotPlain(f"{where} is a number of more than 64 bits: use str() or a float")
        return value
    if kind is float:
        if not math.isfinite(value):  # type: ignore[arg-type]
            raise NotPlain(f"{where} is not a finite number (NaN or infinity): use None")
        return value
    if depth >= DEPTH_LIMIT:
        raise NotPlain(f"{where} is nested more than {DEPTH_LIMIT} deep, or contains itself: flatten it")
    if kind in _MAPPINGS:
        return {_key(key, where): plain(part, where, depth + 1) for key, part in value.items()}  # type: ignore[attr-defined]
    if kind in _SEQUENCES or is_named_tuple(value):
        return [plain(part, where, depth + 1) for part in value]  # type: ignore[attr-defined]
    name = getattr(kind, "__name__", "object")
    advice = "sorted(…) makes a list of a set" if kind in (set, frozenset) else "str(…) makes text of it"
    raise NotPlain(f"{where} holds a {name}, which is no JSON value: {advice}")


def _text(value: str, where: str) -> str:
    if _UNSTORABLE.search(value):
        raise NotPlain(f"{where} has text with a NUL character or a lone surrogate: remove it")
    return value


def _key(key: object, where: str) -> str:
    if type(key) is str:
        return _text(key, where)
    if type(key) is int and -_INT_LIMIT <= key < _INT_LIMIT:
        return str(key)
    raise NotPlain(f"{where} has a key that is no text ({type(key).__name__}): use str() for keys")


def storable(text: str) -> str:
    """Text as it may be shown and stored: what cannot be is replaced."""
    return _UNSTORABLE.sub("\ufffd", text)


def as_records(value: Any) -> Any:
    """An answer of the host with every dict as a `Record`."""
    if type(value) is dict:
        return Record((key, as_records(part)) for key, part in value.items())
    if type(value) is list:
        return [as_records(part) for part in value]
    return value
