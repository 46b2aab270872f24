"""One module among those that a turn may need."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.schemas.template import Template
from workers.chat.modules.module import Module

EMPTY = Template(())


@dataclass(slots=True, eq=False)
class Node:
    """One module in the graph.

    Attributes:
        template: its content.
        children: modules whose text its content shows.
        calls: modules that its script may run.
        left_out: references of its content that would close a circle or lie too deep: fallbacks stand there.
        refused: what its script must not run, and why, with the path of names.
        reached: whether a way leads to it from the persona's template or from the client's names.
        live: whether its text is made before the answer, and its script run unless that belongs after it.
        stage: 1 or 2: the stage in which its text is ready.
        rank: its place in the stated order: dependencies, then priority, then name.
    """

    module: Module
    template: Template = EMPTY
    children: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    left_out: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    reached: bool = False
    live: bool = False
    stage: int = 1
    rank: int = 0
    depth: int = 1
    above: str | None = None
    nesting: int = 0
    caller: str | None = None
