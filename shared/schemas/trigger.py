"""Trigger patterns: what must be said for a module to take part in a turn.

- Empty or ``*``: always.
- A word or several (``weather``, ``weather|rain``): where one of them occurs, in whatever case.
- Else a regular expression, searched regardless of case. Its syntax is that of the ``regex`` package.
"""

from __future__ import annotations

import math
import re

import regex

#: Longest pattern, in characters.
MAX_PATTERN = 500
#: Characters that make a pattern more than words between ``|``.
_SPECIAL = frozenset("\\^$.*+?{}[]()")
#: How often a pattern may say that something is repeated, all counts multiplied: each time is compiled.
MAX_REPEATS = 10_000
#: Characters that a pattern would have with its repetitions written out: what compiling takes time and memory
#: for, in the service that saves it and in every worker that keeps it.
MAX_COMPILED = 20_000
_REPEATS = re.compile(r"\{\s*(\d{1,9})")


def is_always(pattern: str | None) -> bool:
    """Whether the pattern holds for every turn."""
    return pattern is None or pattern.strip() in ("", "*")


def keywords(pattern: str) -> list[str] | None:
    """The words of ``a|b|c``; ``None`` when the pattern is a regular expression.

    An empty alternative (``a|``) would occur in everything; it is taken for a slip and left out.
    """
    if not _SPECIAL.isdisjoint(pattern):
        return None
    return [word for word in (part.strip() for part in pattern.split("|")) if word]


def check_trigger(pattern: str) -> str:
    """``pattern``, when it can be searched for.

    Raises:
        ValueError: it is too long, names no word, or is no regular expression; the text says where.
    """
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"must have at most {MAX_PATTERN} characters, and has {len(pattern)}")
    if is_always(pattern):
        return pattern
    words = keywords(pattern)
    if words is None:
        compile_trigger(pattern)
    elif not words:
        raise ValueError("names no word between the bars; leave it empty, or write *, for every turn")
    return pattern


def compile_trigger(pattern: str) -> regex.Pattern[str]:
    r"""The regular expression that a pattern is.

    Raises:
        ValueError: it is none.
    """
    repeats = math.prod(int(count) or 1 for count in _REPEATS.findall(pattern))
    if repeats > MAX_REPEATS:
        raise ValueError(f"repeats something more than {MAX_REPEATS} times; use smaller counts, or + and *")
    if repeats > 1 and repeats * len(pattern) > MAX_COMPILED:
        raise ValueError(
            f"would have {repeats * len(pattern)} characters with its repetitions written out, and "
            f"{MAX_COMPILED} are the most; use smaller counts, or + and *"
        )
    try:
        return regex.compile(pattern, regex.IGNORECASE)
    except regex.error as error:
        raise ValueError(
            f"is no regular expression: {error} (counted from 0); "
            "put \\ before a character that is meant literally"
        ) from error
    except (RecursionError, OverflowError) as error:
        raise ValueError("is no regular expression that can be searched: it is nested too deep") from error
