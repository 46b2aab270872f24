"""Who ends a job without running it has a worker tell those who watch, and nobody if none does."""

from __future__ import annotations

from uuid import uuid4

import orjson
import pytest
from redis.asyncio import Redis

from shared.jobs.broker import key_prefix
from shared.jobs.states import JobKind
from shared.jobs.wakeups import REPORT_TASK, Wakeups, queue_name
from shared.jobs.watched import LASTING, Watched
from shared.settings import Settings


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return Settings(redis_url=redis_url, namespace="reports")


async def test_a_note_that_somebody_watches_wears_off(settings: Settings, redis: Redis) -> None:
    watched = Watched(redis, settings.namespace)
    assert not await watched.watched()
    await watched.mark()
    assert await watched.watched()
    assert 0 < await redis.ttl("reports:watched") <= LASTING
    await watched.clear()
    assert not await watched.watched()


async def test_a_report_is_sent_only_while_somebody_watches(settings: Settings, redis: Redis) -> None:
    queue = key_prefix(settings) + queue_name(settings, JobKind.CHAT)
    job_id = uuid4()
    wakeups = Wakeups(settings, redis)
    try:
        await wakeups.report(JobKind.CHAT, job_id)
        assert await redis.llen(queue) == 0
        await Watched(redis, settings.namespace).mark()
        await wakeups.report(JobKind.CHAT, job_id)
        message = orjson.loads(await redis.rpop(queue))
    finally:
        wakeups.close()
    assert message["headers"]["task"] == REPORT_TASK
    assert message["headers"]["argsrepr"] == f"['{job_id}']"


async def test_a_report_that_cannot_be_sent_stops_nothing(settings: Settings) -> None:
    gone = Redis.from_url("redis://127.0.0.1:1/0")
    wakeups = Wakeups(settings, gone)
    await wakeups.report(JobKind.CHAT, uuid4())
    wakeups.close()
    await gone.aclose()
