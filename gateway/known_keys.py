"""API keys that were looked up a moment ago, so that a client who asks often is not looked up each time."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.repositories import identity
from shared.database.repositories.identity import Identity

#: Seconds for which an answer stands: for so long another gateway may still take a key that was revoked here.
TRUSTED = 1.0
#: Keys that are remembered at once.
MOST = 10_000


class KnownKeys:
    """Looks up keys, and trusts the answer for a second. Keys that are refused are not remembered.

    Args:
        engine: Postgres.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, engine: AsyncEngine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock
        self._known: dict[bytes, tuple[float, Identity]] = {}
        self._forgotten = 0

    async def identify(self, key_hash: bytes) -> Identity | None:
        """Whose key this is; ``None``: unknown, revoked, or its user is disabled."""
        known = self._known.get(key_hash)
        if known is not None and self._clock() - known[0] < TRUSTED:
            return known[1]
        asked, forgotten = self._clock(), self._forgotten
        found = await identity.identify(self._engine, key_hash)
        if found is not None and forgotten == self._forgotten:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[key_hash] = (asked, found)
        return found

    def forget(self) -> None:
        """A key was revoked or a user disabled, and that is committed.

        What was known counts no more, nor does what is being looked up.
        """
        self._known.clear()
        self._forgotten += 1
