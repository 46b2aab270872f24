"""How many scripts run at once, room for those that other scripts wait for, and a share for every owner."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, deque
from contextlib import suppress


class Places:
    """General places for modules of a turn, reserved ones for modules that a script runs.

    Scripts that wait for scripts cannot lock up. General places are held by runs that wait for reserved ones
    at most. Of these, a run ``depth`` levels down takes one only when it leaves one for each level below it,
    down to ``nesting``; the deepest wait for nobody. So of all that hold a reserved place one can go on.

    Owners share: who holds the fewest places comes first, then who was given none for longest. And nobody
    holds the last quarter of the general ones, so that scripts of one owner that wait for a model, be they
    ever so many, make no other owner wait. Of the reserved places that runs one level down can have, an owner
    holds half: the levels below only follow these.
    """

    def __init__(self, general: int, reserved: int, nesting: int) -> None:
        self.nesting = nesting
        self.reserved = max(reserved, nesting)
        self.total = general + self.reserved
        #: General places that one owner may hold.
        self.share = max(1, general - max(1, general // 4))
        #: Reserved places that runs of one owner may hold one level down.
        self.nested_share = max(1, (self.reserved - nesting + 1) // 2)
        self._free = [general, self.reserved]
        self._numbers = itertools.count()
        #: By owner, how many places are held, and who waits, in the order of asking.
        self._held: tuple[Counter[str | None], Counter[str | None]] = (Counter(), Counter())
        self._waiting: tuple[_Lines, _Lines] = ({}, {})
        #: By owner, how many reserved places runs one level down hold.
        self._one_down: Counter[str | None] = Counter()
        #: When owners who hold a place or wait were last given one.
        self._given: tuple[dict[str | None, int], dict[str | None, int]] = ({}, {})

    async def enter(self, depth: int, owner: str | None = None) -> None:
        """Take a place for a run ``depth`` levels below a turn's module (0: it is one).

        Owners come in turn; the runs of one, and of nobody (``None``), in line.
        """
        waiter = _Waiter(depth, owner, next(self._numbers))
        self._waiting[depth > 0].setdefault(owner, deque()).append(waiter)
        self._give(depth > 0)
        if waiter.given.done():
            return
        try:
            await waiter.given
        except asyncio.CancelledError:
            if waiter.given.done() and not waiter.given.cancelled():
                self.leave(depth, owner)
            else:
                self._forget(waiter)
                self._give(depth > 0)
                self._tidy(depth > 0, owner)
            raise

    def leave(self, depth: int, owner: str | None = None) -> None:
        """Give a place back."""
        self._free[depth > 0] += 1
        held = self._held[depth > 0]
        held[owner] -= 1
        if not held[owner]:
            del held[owner]
        if depth == 1:
            self._one_down[owner] -= 1
            if not self._one_down[owner]:
                del self._one_down[owner]
        self._give(depth > 0)
        self._tidy(depth > 0, owner)

    def _fits(self, waiter: _Waiter) -> bool:
        free, depth = self._free[waiter.depth > 0], waiter.depth
        if free <= (self.nesting - depth if depth else 0):
            return False
        if waiter.owner is None or depth > 1:
            return True
        if depth:
            return self._one_down[waiter.owner] < self.nested_share
        return self._held[0][waiter.owner] < self.share

    def _give(self, nested: bool) -> None:
        """To whom of those that may have one; a deeper run may pass one that has to wait."""
        held, given = self._held[nested], self._given[nested]
        while self._free[nested]:
            firsts = (
                # Of general runs the first fits, or none.
                next((one for one in itertools.islice(line, None if nested else 1) if self._fits(one)), None)
                for line in self._waiting[nested].values()
            )
            free = [waiter for waiter in firsts if waiter is not None]
            if not free:
                return
            waiter = min(free, key=lambda one: (held[one.owner], given.get(one.owner, -1), one.number))
            self._forget(waiter)
            if not waiter.given.done():
                self._free[nested] -= 1
                held[waiter.owner] += 1
                if waiter.depth == 1:
                    self._one_down[waiter.owner] += 1
                given[waiter.owner] = next(self._numbers)
                waiter.given.set_result(None)

    def _tidy(self, nested: bool, owner: str | None) -> None:
        """Who neither holds a place nor waits is as good as new."""
        if owner not in self._held[nested] and owner not in self._waiting[nested]:
            self._given[nested].pop(owner, None)

    def _forget(self, waiter: _Waiter) -> None:
        """It waits no longer."""
        lines = self._waiting[waiter.depth > 0]
        line = lines.get(waiter.owner, deque())
        with suppress(ValueError):
            line.remove(waiter)
        if not line:
            lines.pop(waiter.owner, None)


class _Waiter:
    def __init__(self, depth: int, owner: str | None, number: int) -> None:
        self.depth, self.owner, self.number = depth, owner, number
        #: Done when the place is given.
        self.given: asyncio.Future[None] = asyncio.get_running_loop().create_future()


_Lines = dict[str | None, deque[_Waiter]]
