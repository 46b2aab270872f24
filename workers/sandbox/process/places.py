"""How many scripts run at once, and room for those that other scripts wait for."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress


class Places:
    """General places for modules of a turn, reserved ones for modules that a script runs.

    Scripts that wait for scripts cannot lock up. General places are held by runs that wait for reserved ones
    at most. Of these, a run ``depth`` levels down takes one only when it leaves one for each level below it,
    down to ``nesting``; the deepest wait for nobody. So of all that hold a reserved place one can go on.
    """

    def __init__(self, general: int, reserved: int, nesting: int) -> None:
        self.nesting = nesting
        self.reserved = max(reserved, nesting)
        self.total = general + self.reserved
        self._free = [general, self.reserved]
        #: (depth, woken when the place is given), in the order of asking.
        self._waiting: tuple[deque[_Waiter], deque[_Waiter]] = (deque(), deque())

    async def enter(self, depth: int) -> None:
        """Take a place, in line, for a run ``depth`` levels below a turn's module (0: it is one)."""
        line = self._waiting[depth > 0]
        if not any(waiter.depth >= depth for waiter in line) and self._fits(depth):
            self._free[depth > 0] -= 1
            return
        waiter = _Waiter(depth)
        line.append(waiter)
        try:
            await waiter.given
        except asyncio.CancelledError:
            if waiter.given.done() and not waiter.given.cancelled():
                self.leave(depth)
            else:
                with suppress(ValueError):
                    line.remove(waiter)
                self._give(depth > 0)
            raise

    def leave(self, depth: int) -> None:
        """Give a place back."""
        self._free[depth > 0] += 1
        self._give(depth > 0)

    def _fits(self, depth: int) -> bool:
        return self._free[depth > 0] > (self.nesting - depth if depth else 0)

    def _give(self, nested: bool) -> None:
        """To the first in line that may have it; a deeper run may pass one that has to wait."""
        line = self._waiting[nested]
        for waiter in list(line):
            if self._fits(waiter.depth):
                line.remove(waiter)
                if not waiter.given.done():
                    self._free[nested] -= 1
                    waiter.given.set_result(None)


class _Waiter:
    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
