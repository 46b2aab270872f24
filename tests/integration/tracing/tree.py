"""Spans as the tree that they make."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.collector import Collector, Seen


def traceparent() -> str:
    """A place in a trace that a client began."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


@dataclass
class Node:
    """A span and those below it, in the order in which they began."""

    span: Seen
    below: list[Node] = field(default_factory=list)

    @property
    def shape(self) -> Any:
        """Its name, or with those below it ``{name: [shape, …]}``."""
        return {self.span.name: [node.shape for node in self.below]} if self.below else self.span.name


def tree(spans: Sequence[Seen], parent_id: str) -> list[Node]:
    """Those below ``parent_id``, each once."""
    below = sorted((one for one in spans if one.parent_id == parent_id), key=lambda one: one.began)
    return [Node(one, tree(spans, one.span_id)) for one in below]


@dataclass(frozen=True)
class Trace:
    """One trace, of which nothing more is expected."""

    given: str
    spans: list[Seen]

    @property
    def roots(self) -> list[Node]:
        """What stands right below the client's own span."""
        return tree(self.spans, self.given.split("-")[2])

    @property
    def shapes(self) -> list[Any]:
        """The whole tree."""
        return [node.shape for node in self.roots]

    def named(self, name: str) -> list[Seen]:
        """The spans of that name, in the order in which they began."""
        return sorted((one for one in self.spans if one.name == name), key=lambda one: one.began)

    def only(self, name: str) -> Seen:
        """The one span of that name."""
        (found,) = self.named(name)
        return found


async def trace(collector: Collector, given: str, *ends: str) -> Trace:
    """The trace that ``given`` belongs to, as soon as spans of all these names have come."""
    trace_id = given.split("-")[1]

    def of(spans: Sequence[Seen]) -> list[Seen]:
        return [one for one in spans if one.trace_id == trace_id]

    def enough(spans: Sequence[Seen]) -> bool:
        names = [one.name for one in of(spans)]
        return all(names.count(name) >= ends.count(name) for name in ends)

    return Trace(given, of(await asyncio.to_thread(collector.wait, enough)))
