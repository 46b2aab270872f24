"""``last_used_at`` of API keys, written in the background: no request waits for it."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from shared.database.repositories import identity

logger = logging.getLogger(__name__)


class KeyUses:
    """Collects the keys that were used and writes them down, each once a minute at most."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], *, pause: float = 1.0) -> None:
        self._sessions = sessions
        self._pause = pause  # seconds in which uses are collected before they are written
        self._pending: set[uuid.UUID] = set()
        self._wanted = asyncio.Event()

    def note(self, key_id: uuid.UUID, last_used_at: datetime | None) -> None:
        """A key was used; ``last_used_at`` is what its row says."""
        if last_used_at is None or datetime.now(UTC) - last_used_at >= identity.USE_PRECISION:
            self._pending.add(key_id)
            self._wanted.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write in the background; what is left is written at the end."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self.flush()

    async def flush(self) -> None:
        """Write what was collected; a failure costs only that."""
        pending, self._pending = self._pending, set()
        self._wanted.clear()
        if not pending:
            return
        try:
            async with self._sessions.begin() as session:
                await identity.touch(session, pending)
        except Exception:
            logger.warning("the last use of %d API keys could not be noted", len(pending), exc_info=True)

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            await asyncio.sleep(self._pause)
            await self.flush()
