"""Answers as JSON: every object in a text, and what all of them say under a name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from workers.experiment.reading.reader import UnreadableError
from workers.experiment.reading.script import uniform, without_thoughts

T = TypeVar("T")

#: Characters of an answer that is searched for objects: whoever says more is asked for a short answer.
LONGEST = 40_000
#: Braces that begin no object: a text with more of them is no answer.
_MOST_STRAY_BRACES = 100
_START = re.compile(r"""\{\s*["}]""")

_TRAILING_COMMA = re.compile(r",\s*([}\]])")
_SINGLE_QUOTED = re.compile(r"(?<=[{\[,:\s])'([^'\"{}]*)'(?=\s*[:,}\]])")
_BARE_KEY = re.compile(r"([{,]\s*)([^\W\d]\w*)(\s*:)")
_PYTHON = {"True": "true", "False": "false", "None": "null"}
_PYTHON_WORD = re.compile(r"(?<=[:\s,\[])(True|False|None)(?=\s*[,}\]])")


class _ConflictError(ValueError):
    """An object gives one name two values."""


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """The objects of an answer; ``rest`` is the text around them."""

    objects: tuple[Mapping[str, Any], ...]
    rest: str

    def values(self, names: Sequence[str]) -> list[Any]:
        """What the objects say under any of ``names``, nested ones too; objects under a name are searched."""
        return [value for found in self.objects for value in _values(found, names)]

    def one(self, names: Sequence[str], read: Callable[[Any], T], conflict: str) -> T | None:
        """What all of them say, each read by ``read``; ``None`` when none says anything.

        Raises:
            UnreadableError: with the code ``conflict`` when two of them disagree, or what ``read`` raises.
        """
        found = [read(value) for value in self.values(names)]
        if any(other != found[0] for other in found[1:]):
            raise UnreadableError(conflict)
        return found[0] if found else None


def find(text: str) -> JsonAnswer:
    """The JSON objects in ``text``, also fenced and with text around, but not those in a model's thoughts.

    Objects that are no strict JSON are read where what is meant is certain: single quotes, full-width signs,
    a trailing comma, names without quotes.

    Raises:
        UnreadableError: ``contradiction``, an object gives one name two values; ``too_long``; ``unclear``,
            braces without end.
    """
    text = without_thoughts(text)
    if len(text) > LONGEST:
        raise UnreadableError("too_long")
    strict = _scan(text)
    if strict.objects or "{" not in uniform(text):
        return strict
    mended = _TRAILING_COMMA.sub(r"\1", uniform(text))
    mended = _SINGLE_QUOTED.sub(r'"\1"', mended)
    mended = _PYTHON_WORD.sub(lambda match: _PYTHON[match.group(1)], mended)
    mended = _BARE_KEY.sub(r'\1"\2"\3', mended)
    found = _scan(mended)
    return found if found.objects else strict


def _scan(text: str) -> JsonAnswer:
    objects: list[Mapping[str, Any]] = []
    rest: list[str] = []
    position = stray = 0
    while (start := _START.search(text, position)) is not None:
        try:
            found, end = _DECODER.raw_decode(text, start.start())
        except _ConflictError:
            raise UnreadableError("contradiction") from None
        except (ValueError, RecursionError):
            stray += 1
            if stray > _MOST_STRAY_BRACES:
                raise UnreadableError("unclear") from None
            end = start.start() + 1
            rest.append(text[position:end])
        else:
            rest.append(text[position : start.start()])
            objects.append(found)
        position = end
    rest.append(text[position:])
    return JsonAnswer(tuple(objects), " ".join(rest))


def _values(found: Any, names: Sequence[str]) -> Iterator[Any]:
    if isinstance(found, Mapping):
        for name, value in found.items():
            if _name(name) in names and not _holds(value, names):
                yield value
            else:
                yield from _values(value, names)
    elif isinstance(found, list):
        for value in found:
            yield from _values(value, names)


def _holds(value: Any, names: Sequence[str]) -> bool:
    return isinstance(value, Mapping) and any(_name(name) in names for name in value)


def _name(name: str) -> str:
    return uniform(name).strip().casefold().replace(" ", "_").replace("-", "_")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found and found[name] != value:
            raise _ConflictError(name)
        found[name] = value
    return found


def _no_number(name: str) -> Any:
    raise ValueError(name)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=Decimal, parse_float=Decimal, parse_constant=_no_number
)
