"""Decorators: lines at the head of a V3 lorebook entry that say when and where it is inserted.

Source: https://github.com/kwaroran/character-card-spec-v3 (Decorators).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_LINE = re.compile(r"(@{2,})([A-Za-z_][A-Za-z0-9_]*)(?:[ \t]+(.*))?")
#: Those that are followed; a fallback (``@@@…``) counts when the decorator before it is none of them.
_KNOWN = frozenset({"activate", "dont_activate", "position", "additional_keys", "exclude_keys"})
_POSITIONS = frozenset({"before_desc", "after_desc"})


@dataclass(slots=True)
class Decorators:
    """What the decorators of an entry ask for."""

    always: bool = False
    never: bool = False
    position: str | None = None
    also: list[list[str]] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)
    #: Those that have no equal here, as they were written.
    ignored: list[str] = field(default_factory=list)


def split_decorators(content: str) -> tuple[Decorators, str]:
    """The decorators that ``content`` begins with, and the text behind them."""
    found = Decorators()
    lines = content.lstrip("\r\n").splitlines(keepends=True)
    followed = True
    used = 0
    for line in lines:
        match = _LINE.fullmatch(line.strip())
        if match is None:
            break
        used += 1
        marks, name, value = match[1], match[2], (match[3] or "").strip()
        if len(marks) > 2 and followed:
            continue  # the fallback of one that was followed
        followed = _follow(found, name, value)
        if not followed:
            found.ignored.append(line.strip())
    if not used:
        return found, content
    return found, "".join(lines[used:]).strip("\r\n")


def _follow(found: Decorators, name: str, value: str) -> bool:
    values = [part.strip() for part in value.split(",") if part.strip()]
    if name not in _KNOWN:
        return False
    match name:
        case "activate":
            found.always = True
        case "dont_activate":
            found.never = True
        case "position":
            if value not in _POSITIONS:
                return False
            found.position = found.position or value
        case "additional_keys":
            found.also.append(values)
        case "exclude_keys":
            found.exclude += values
    return True
