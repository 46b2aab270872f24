"""What status polls are told beside the row: the stage that a job is in."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError


class LiveState:
    """The stage of each running job, in Redis; lost without harm."""

    def __init__(self, redis: Redis, namespace: str) -> None:
        self._redis = redis
        self._namespace = namespace

    def _key(self, job_id: UUID) -> str:
        return f"{self._namespace}:stage:{job_id}"

    async def enter(self, job_id: UUID, stage: int) -> None:
        """The job is in ``stage`` (1-5)."""
        with suppress(RedisError, OSError):
            await self._redis.set(self._key(job_id), stage, ex=3600)

    async def stage(self, job_id: UUID) -> int | None:
        """The stage that the job is in, if anybody knows."""
        with suppress(RedisError, OSError):
            stage = await self._redis.get(self._key(job_id))
            return None if stage is None else int(stage)
        return None
