"""What the fake model server is told to do for one request: see :mod:`tests.fakes.model_server`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import unquote

from tests.fakes import agents

_DIRECTIVE = re.compile(r"\[\[fake ([^\]]*)\]\]")
_FAULT = re.compile(r"(?P<kind>[a-z0-9-]+?)(?:x(?P<times>\d+))?(?:@(?P<at>\d+))?")


class BadKnob(ValueError):
    """A knob that the server does not have."""


@dataclass(frozen=True, slots=True)
class Script:
    """The knobs; their meaning is told by :mod:`tests.fakes.model_server`."""

    tokens: int = 10
    tps: float = 0.0
    first: float = 0.0
    headers: str = "early"
    framing: str = "chunked"
    text: str | None = None
    agents: str | None = None
    unicode: bool = False
    stamp: bool = False
    split: int = 0
    crlf: bool = False
    comments: int = 0
    thinking: str = "none"
    think_tokens: int = 3
    tools: int = 0
    usage: str = "auto"
    retry_after: str | None = None
    fault: str | None = None

    def fault_parts(self) -> tuple[str, int | None, int]:
        """``(kind, times, at)`` of the fault: ``429x2`` → ``("429", 2, 3)``."""
        match = _FAULT.fullmatch(self.fault or "none")
        if match is None:
            raise BadKnob(f"fault={self.fault}")
        times, at = match["times"], match["at"]
        return match["kind"], int(times) if times else None, int(at) if at else 3

    def words(self) -> Sequence[str]:
        """The tokens of the answer, each of them different; made when they are asked for."""
        if self.text is not None:
            return re.findall(r"\S+\s*|\s+", self.text)
        return _Numbered("té%d😀 " if self.unicode else "t%d ", self.tokens)

    def thoughts(self) -> Iterator[str]:
        """The tokens of the thinking."""
        if self.thinking != "none":
            for index in range(self.think_tokens):
                yield f"h{index} "

    def arguments(self, index: int) -> dict[str, Any]:
        """The arguments of the tool call with this index."""
        return {"city": f"Paris {index}", "days": index}


class _Numbered(Sequence[str]):
    """``t0``, ``t1``, …: as many as wanted, without holding them."""

    def __init__(self, form: str, count: int) -> None:
        self._form = form
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._form % number for number in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._form % index


_TYPES = {field.name: field.type for field in fields(Script)}


def read_knobs(base: Script, pairs: list[str]) -> Script:
    """``base`` with ``key=value`` pairs applied."""
    changes: dict[str, Any] = {}
    for pair in filter(None, pairs):
        key, _, value = pair.partition("=")
        kind = _TYPES.get(key)
        if kind is None:
            raise BadKnob(key)
        value = unquote(value)
        if kind == "int":
            changes[key] = int(value)
        elif kind == "float":
            changes[key] = float(value.removesuffix("s"))
        elif kind == "bool":
            changes[key] = value not in {"0", "false", ""}
        else:
            changes[key] = value
    return replace(base, **changes)


def script_for(base: Script, model: str, body: dict[str, Any]) -> Script:
    """The script that the model's name and the last user message ask for; the message wins."""
    script = base
    if model.startswith("fake/"):
        script = read_knobs(script, model[5:].split(","))
    elif model.startswith("fault-"):
        script = replace(script, fault=model[6:])
    elif model.startswith("slow-first:"):
        script = replace(script, first=float(model[11:].removesuffix("s")))
    for message in reversed(body.get("messages") or []):
        if message.get("role") == "user":
            content = message.get("content")
            match = _DIRECTIVE.search(content) if isinstance(content, str) else None
            if match:
                script = read_knobs(script, match[1].split())
            break
    if script.agents is not None:
        said = agents.answer(script.agents, body)
        script = replace(script, fault="silent") if said is None else replace(script, text=said)
    return script
