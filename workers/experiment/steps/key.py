"""What a step is called: its place in the protocol."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class StepKey:
    """The place of a step in the protocol; two runs of the same configuration name their steps alike.

    Attributes:
        phase: 1 or 2; 0 for what a run notes of itself before both.
        round: from 1; ``None`` for what belongs to no round (of phase 2: what follows its last one).
        agent: whose step it is; ``None`` for the group's, such as a draw of the speaking order.
        purpose: what it is for, in lower case, parts separated by ``/``: ``ballot/amount``.
        tried: which try, from 1; ``None`` where there are none.
    """

    phase: int
    round: int | None
    agent: str | None
    purpose: str
    tried: int | None = None

    @property
    def path(self) -> str:
        """``p2/r3/Alice/ballot/amount/try1``; an agent's name is percent-encoded, the group is ``-``."""
        parts = [f"p{self.phase}"]
        if self.round is not None:
            parts.append(f"r{self.round}")
        parts.append("-" if self.agent is None else quote(self.agent, safe=""))
        parts.append(self.purpose)
        if self.tried is not None:
            parts.append(f"try{self.tried}")
        return "/".join(parts)

    def part(self, name: str) -> StepKey:
        """A step within this one: its purpose goes on with ``name``."""
        return replace(self, purpose=f"{self.purpose}/{name}")

    def of(self, agent: str) -> StepKey:
        """The same step of an agent."""
        return replace(self, agent=agent)

    def at_try(self, number: int) -> StepKey:
        """The try with this number."""
        return replace(self, tried=number)

    def __str__(self) -> str:
        return self.path
