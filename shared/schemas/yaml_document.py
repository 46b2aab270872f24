"""YAML that means the same as JSON: read without what makes it dangerous, written so that it reads back.

Only PyYAML's parser is used, none of its constructors: aliases, tags and documents after the first are
refused, so that a file is never larger in memory than on disk and nothing in it is run. Plain scalars are
read as YAML 1.2's core schema reads them (``no`` and ``2020-01-01`` are text).
"""

from __future__ import annotations

import math
import re
from typing import Any, Protocol

import yaml

from shared.errors import ValidationError
from shared.schemas.nesting import MAX_REQUEST_DEPTH

#: Scalars, lists and mappings in one document.
MAX_NODES = 100_000

#: Columns before a line is broken: never.
_WIDEST = 2**31 - 1
_CORE = "tag:yaml.org,2002:"
_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"[-+]?[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?")


class Mark(Protocol):
    """A place in the text: line and column from 0."""

    line: int
    column: int


class YAMLError(ValidationError):
    """The text is not YAML, or YAML that is not read here; ``errors`` names line and column."""

    title = "The YAML cannot be read"

    def __init__(self, message: str, mark: Mark | None = None) -> None:
        fault: dict[str, Any] = {"field": "body", "message": message}
        where = ""
        if mark is not None:
            fault |= {"line": mark.line + 1, "column": mark.column + 1}
            where = f" (line {mark.line + 1}, column {mark.column + 1})"
        super().__init__(f"{message}{where}", errors=[fault])


def read_yaml(content: bytes) -> Any:
    """The one document in ``content``, as JSON types. Its size is for the caller to limit.

    Raises:
        YAMLError: it is not UTF-8 or not YAML, is nested deeper than a request may be, has more than
            :data:`MAX_NODES` nodes, repeats a key, or uses an alias, a tag, or a key that is no string.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YAMLError(f"is not UTF-8 (at byte {error.start})") from error
    reader = _Reader()
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        problem = error.problem or error.context or "cannot be parsed"
        raise YAMLError(f"is not YAML: {problem}", error.problem_mark or error.context_mark) from error
    except yaml.YAMLError as error:  # characters that YAML does not have
        raise YAMLError("is not YAML: it holds a control character; write it as an escape") from error
    return reader.value()


def write_yaml(value: Any) -> str:
    """``value`` (JSON types) as YAML that :func:`read_yaml` gives back; texts of several lines are blocks."""
    return yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=_WIDEST
    )


class _Reader:
    """Builds the value from the parser's events, without recursion."""

    def __init__(self) -> None:
        self._open: list[dict[str, Any] | list[Any]] = []
        self._keys: list[str | None] = []
        self._nodes = 0
        self._documents = 0
        self._root: Any = None

    def value(self) -> Any:
        if self._documents == 0:
            raise YAMLError("is empty")
        return self._root

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise YAMLError("must be one document", event.start_mark)
            case yaml.AliasEvent():
                raise YAMLError("must not have aliases (*name); write the value out", event.start_mark)
            case yaml.ScalarEvent():
                self._add(_scalar(event), event.start_mark)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                kind = "seq" if isinstance(event, yaml.SequenceStartEvent) else "map"
                if event.tag not in (None, "!", _CORE + kind):
                    raise YAMLError(f"must not have tags ({event.tag})", event.start_mark)
                made: dict[str, Any] | list[Any] = [] if kind == "seq" else {}
                self._add(made, event.start_mark)
                self._open.append(made)
                self._keys.append(None)
                if len(self._open) > MAX_REQUEST_DEPTH:
                    raise YAMLError(
                        f"must not be nested more than {MAX_REQUEST_DEPTH} levels deep", event.start_mark
                    )
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._open.pop()
                self._keys.pop()

    def _add(self, value: Any, mark: Mark | None) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise YAMLError(f"must not have more than {MAX_NODES} values", mark)
        if not self._open:
            self._root = value
            return
        outer = self._open[-1]
        if isinstance(outer, list):
            outer.append(value)
            return
        key = self._keys[-1]
        if key is not None:
            outer[key] = value
            self._keys[-1] = None
            return
        if not isinstance(value, str):
            raise YAMLError("must have strings as keys; quote this one", mark)
        if value in outer:
            raise YAMLError(f"has the key {value[:100]!r} twice", mark)
        self._keys[-1] = value


def _scalar(event: yaml.ScalarEvent) -> Any:
    text, mark = event.value, event.start_mark
    if event.tag not in (None, "!"):
        if event.tag == _CORE + "str":
            return text
        raise YAMLError(f"must not have tags ({event.tag})", mark)
    if not event.implicit[0]:  # quoted, or a block
        return text
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return text[0] in "tT"
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if not math.isfinite(number):
            raise YAMLError("has a number that is too large", mark)
        return number
    return text


class _Dumper(yaml.CSafeDumper):
    """Writes no aliases, and texts of several lines as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


#: What a block cannot hold unchanged: other line ends, and what is not printed.
_NOT_IN_BLOCKS = re.compile(r"[\r\x85\u2028\u2029\ufeff\x00-\x08\x0b-\x1f\x7f-\x9f]| \n|[ \t]\Z|\A[ \t\n]")


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    block = "\n" in text and not _NOT_IN_BLOCKS.search(text)
    return dumper.represent_scalar(_CORE + "str", text, style="|" if block else None)


_Dumper.add_representer(str, _text)
