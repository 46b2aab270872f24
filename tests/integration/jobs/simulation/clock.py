"""An event loop whose time goes only when the simulation says so."""

from __future__ import annotations

import asyncio


class SteppedLoop(asyncio.SelectorEventLoop):
    """Timers follow :attr:`now`; sockets are real."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    @property
    def quiet(self) -> bool:
        """Whether nothing is about to run; asked from the only task that does."""
        due = any(not timer.cancelled() and timer.when() <= self.now for timer in self._scheduled)  # type: ignore[attr-defined]
        return not self._ready and not due  # type: ignore[attr-defined]
