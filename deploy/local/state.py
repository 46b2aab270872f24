"""What runs, written down: for ``parley status``, for clients, and for the next start's cleaning up."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from deploy.local.directories import DataDir
from deploy.local.key_files import write_private
from deploy.local.lock import StackLock
from deploy.local.process import ProcessIdentity, end_leftover

_FORMAT = 1


class Health(StrEnum):
    """How a part is."""

    #: Its process runs, and it does not answer yet.
    STARTING = "starting"
    #: It answers.
    READY = "ready"
    #: It answered before, and does not now.
    UNRESPONSIVE = "unresponsive"
    #: It ended and will be started again.
    RESTARTING = "restarting"
    #: It is not running.
    STOPPED = "stopped"
    #: Another one is used, which we neither start nor stop.
    EXTERNAL = "external"


@dataclass
class PartState:
    """One part of the stack, as ``parley status --json`` shows it."""

    name: str
    version: str
    address: str
    health: Health = Health.STARTING
    pid: int | None = None
    #: See ``process.start_mark``.
    started: str | None = None
    #: Number of the signal that ends it in order.
    stop_signal: int = signal.SIGTERM
    restarts: int = 0

    @property
    def identity(self) -> ProcessIdentity | None:
        """Its process, told apart from a later one of the same pid."""
        return ProcessIdentity(self.pid, self.started) if self.pid and self.started else None

    def public(self) -> dict[str, object]:
        """What is shown."""
        return {
            "name": self.name,
            "version": self.version,
            "pid": self.pid,
            "health": self.health.value,
            "address": self.address,
            "restarts": self.restarts,
        }


@dataclass
class StackState:
    """The whole stack; lives in ``run/state.json``."""

    url: str
    data_dir: str
    supervisor: ProcessIdentity
    version: str
    ready: bool = False
    parts: list[PartState] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write it, atomically and for the owner only."""
        text = json.dumps({"format": _FORMAT, **asdict(self)}, indent=1)
        write_private(path, text.encode())

    @classmethod
    def load(cls, path: Path) -> StackState | None:
        """What the file says; None when there is none, or it is no state that this version wrote."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            if raw.pop("format") != _FORMAT:
                return None
            raw["supervisor"] = ProcessIdentity(**raw["supervisor"])
            raw["parts"] = [PartState(**{**part, "health": Health(part["health"])}) for part in raw["parts"]]
            return cls(**raw)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def public(self) -> dict[str, object]:
        """What ``parley status --json`` prints."""
        return {"url": self.url, "data_dir": self.data_dir, "parts": [part.public() for part in self.parts]}


def running_stack(data: DataDir) -> StackState | None:
    """The stack that runs on this data directory; None when none does."""
    return StackState.load(data.state) if StackLock(data.lock).held() else None


def end_leftovers(data: DataDir, tell: Callable[[str], None], *, timeout: float = 3.0) -> int:
    """End what a killed supervisor left running, in the order of a stop. Only with the lock held.

    Returns:
        How many processes were ended.
    """
    state = StackState.load(data.state)
    ended = 0
    for part in reversed(state.parts if state else []):
        if part.identity and end_leftover(part.identity, signal.Signals(part.stop_signal), timeout):
            tell(f"ended {part.name} (pid {part.pid}), which an earlier Parley left behind")
            ended += 1
    data.state.unlink(missing_ok=True)
    return ended
