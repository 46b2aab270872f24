"""What the supervisor tells while it works: to the terminal, or through a pipe to the command that waits."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TypeAlias


class Kind(StrEnum):
    """What an event says."""

    #: A step of the start began.
    STEP = "step"
    #: A step is this far (``fraction``).
    PROGRESS = "progress"
    #: A step is done; ``text`` says with what.
    DONE = "done"
    #: A step failed; ``text`` says why and what helps.
    FAILED = "failed"
    #: A word about something that happened.
    NOTE = "note"
    #: Everything is ready.
    READY = "ready"
    #: Everything is stopped.
    STOPPED = "stopped"


@dataclass(frozen=True)
class Event:
    """One thing that happened."""

    kind: Kind
    #: The step or the part.
    name: str = ""
    text: str = ""
    #: From 0 to 1.
    fraction: float | None = None
    #: Exit code that belongs to ``FAILED``.
    code: int = 1

    def line(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, line: str) -> Event:
        """The event of a line."""
        raw = json.loads(line)
        return cls(**{**raw, "kind": Kind(raw["kind"])})


Report: TypeAlias = Callable[[Event], None]
