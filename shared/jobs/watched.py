"""Whether somebody watches the jobs as Celery tasks (Flower, an exporter): workers hear it, all may ask."""

from __future__ import annotations

from redis.asyncio import Redis

#: Seconds for which somebody counts as watching who asked for task events; Flower asks every five.
LASTING = 60


class Watched:
    """The note in Redis that somebody watches.

    Args:
        redis: a client.
        namespace: of the key.
    """

    def __init__(self, redis: Redis, namespace: str) -> None:
        self._redis = redis
        self._key = f"{namespace}:watched"

    async def mark(self) -> None:
        """Somebody asked for task events just now."""
        await self._redis.set(self._key, 1, ex=LASTING)

    async def clear(self) -> None:
        """Whoever watched has said that it is enough."""
        await self._redis.delete(self._key)

    async def watched(self) -> bool:
        """Whether somebody asked lately."""
        return bool(await self._redis.exists(self._key))
