"""Permits: how many calls a provider connection has in flight, over all workers."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.jobs.statements import script
from shared.metrics.limits import hit

log = logging.getLogger(__name__)

#: A caller in the line looks again this often (seconds), should it miss the word that a permit is free.
LOOK_AGAIN = 0.25


class Permits:
    """Leased permits with fair waiting: the next one goes to the waiting job that holds the fewest, then to
    the one that came first. Permits and places in the line end with the process that holds them.

    Nobody waits for one permit while holding another, so that callers cannot lock one another up.
    """

    def __init__(self, redis: Redis, namespace: str, ttl: float) -> None:
        self._redis = redis
        self._namespace = namespace
        self._ttl = int(ttl * 1_000_000)
        self._acquire = redis.register_script(script("acquire_permit"))
        self._renew = redis.register_script(script("renew_permits"))
        self._numbers = itertools.count()
        self._held: dict[UUID, set[str]] = defaultdict(set)
        self._freed: dict[UUID, asyncio.Event] = defaultdict(asyncio.Event)

    def _keys(self, connection_id: UUID) -> list[str]:
        base = f"{self._namespace}:permits:{connection_id}"
        return [base, f"{base}:line", f"{base}:signs", f"{base}:arrivals"]

    @asynccontextmanager
    async def permit(self, connection_id: UUID | None, limit: int | None, lease: str) -> AsyncIterator[None]:
        """Hold a permit of a connection for one call.

        Args:
            connection_id: the provider connection.
            limit: its ``max_in_flight``; ``None``: no limit, and no permit.
            lease: ``<job>:<attempt>`` of the caller.
        """
        if connection_id is None or limit is None:
            yield
            return
        member = f"{lease}:{next(self._numbers)}"
        waits = False
        try:
            while not await self.try_acquire(connection_id, limit, member):
                if not waits:
                    waits = True
                    hit("connection_calls")
                freed = self._freed[connection_id]
                freed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_AGAIN):
                        await freed.wait()
            yield
        finally:
            await self.release(connection_id, member)

    async def try_acquire(self, connection_id: UUID, limit: int, member: str) -> bool:
        """Take the permit if it is ``member``'s turn, else keep its place in the line.

        Without Redis there is nobody to ask, and the call is made: the limit is a courtesy to the provider,
        the answer is owed to the client.
        """
        try:
            taken: Any = await self._acquire(keys=self._keys(connection_id), args=[member, limit, self._ttl])
        except (RedisError, OSError):
            log.warning("a call is made without a permit: Redis does not answer")
            taken = 1
        if taken:
            self._held[connection_id].add(member)
        return bool(taken)

    async def release(self, connection_id: UUID, member: str) -> None:
        """Give the permit, or the place in the line, back."""
        held = self._held[connection_id]
        held.discard(member)
        if not held:
            del self._held[connection_id]
        permits, line, signs, _ = self._keys(connection_id)
        with suppress(RedisError, OSError):
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.zrem(permits, member)
                pipeline.zrem(line, member)
                pipeline.zrem(signs, member)
                await pipeline.execute()
        self._freed[connection_id].set()

    async def renew(self) -> None:
        """Renew every permit of this process; called with the leases."""
        for connection_id, members in list(self._held.items()):
            await self._renew(keys=self._keys(connection_id)[:1], args=[self._ttl, *members])
