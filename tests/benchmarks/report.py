"""A benchmark's outcome: what was promised, and what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

Say = Callable[[str], None]


@dataclass(frozen=True)
class Target:
    """A promise and what was measured; ``met`` when the measured value is not above the limit."""

    what: str
    limit: float
    measured: float | None
    unit: str = "ms"

    @property
    def met(self) -> bool:
        return self.measured is not None and self.measured <= self.limit


@dataclass
class Report:
    """One benchmark's outcome."""

    name: str
    runs: list[dict[str, Any]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        targets = [{**asdict(target), "met": target.met} for target in self.targets]
        return {"name": self.name, "targets": targets, "runs": self.runs}
