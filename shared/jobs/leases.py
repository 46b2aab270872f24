"""Leases in Redis: a sign of life for each attempt that is being run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis

from shared.jobs.statements import script
from shared.redis_client import connect
from shared.settings import Settings


class Renewal(NamedTuple):
    """What a renewal told."""

    #: Members that have no lease: Redis lost them, or somebody condemned them.
    missing: list[str]
    #: Members that somebody asked to cancel.
    flagged: list[str]


class Leases:
    """The leases of all processes, in one sorted set, timed by Redis's own clock.

    A member is ``<job>:<attempt>``, its score the microsecond at which it expires.
    """

    def __init__(self, redis: Redis, namespace: str, ttl: float) -> None:
        self.redis = redis
        self.ttl = ttl
        self.key = f"{namespace}:leases"
        self.cancels = f"{namespace}:cancels"
        self._hold = redis.register_script(script("hold_leases"))
        self._renew = redis.register_script(script("renew_leases"))

    @classmethod
    def watching(cls, settings: Settings) -> Leases:
        """Leases over a connection of their own, to be closed by the caller (``redis.aclose``).

        It gives up long before a lease could expire, and never waits behind what else a process asks.
        """
        redis = connect(settings.redis, settings.lease_ttl / 10, max_connections=2)
        return cls(redis, settings.namespace, settings.lease_ttl)

    @property
    def _microseconds(self) -> int:
        return int(self.ttl * 1_000_000)

    async def hold(self, members: Sequence[str]) -> None:
        """Put leases, or put back those that Redis lost."""
        if members:
            await self._hold(keys=[self.key], args=[self._microseconds, *members])

    async def renew(self, members: Sequence[str]) -> Renewal:
        """Renew the leases of all jobs of a process in one round trip."""
        if not members:
            return Renewal([], [])
        answer: Any = await self._renew(keys=[self.key, self.cancels], args=[self._microseconds, *members])
        missing, flagged = ([_text(member) for member in part] for part in answer)
        return Renewal(missing, flagged)

    async def release(self, members: Sequence[str]) -> None:
        """Give up leases, and forget that they were to be cancelled."""
        if members:
            async with self.redis.pipeline(transaction=False) as pipeline:
                pipeline.zrem(self.key, *members)
                pipeline.srem(self.cancels, *members)
                await pipeline.execute()

    async def look(self) -> dict[str, float]:
        """Every lease with its expiry; for :class:`shared.jobs.lease_watch.LeaseWatch`."""
        leases: Any = await self.redis.zrange(self.key, 0, -1, withscores=True)
        return {_text(member): score for member, score in leases}

    async def flag(self, member: str) -> None:
        """Ask whoever holds ``member`` to cancel it."""
        await self.redis.sadd(self.cancels, member)

    async def forget_flags(self, living: Iterable[str]) -> None:
        """Remove the flags of attempts that are not among the living."""
        stale = {_text(member) for member in await self.redis.smembers(self.cancels)} - set(living)
        if stale:
            await self.redis.srem(self.cancels, *stale)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
