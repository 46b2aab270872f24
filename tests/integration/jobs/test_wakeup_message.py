"""A wake-up that is filled in is the one that Celery would have sent."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from kombu import Queue
from redis.asyncio import Redis

from shared.jobs.broker import key_prefix
from shared.jobs.states import JobKind
from shared.jobs.wakeups import Wakeups, configure, queue_name, task_name
from shared.settings import Settings


async def _sent(redis: Redis, settings: Settings, kind: JobKind) -> dict[str, Any]:
    raw = await redis.rpop(key_prefix(settings) + queue_name(settings, kind))  # type: ignore[misc]
    message: dict[str, Any] = json.loads(raw)
    message["body"] = json.loads(base64.b64decode(message["body"]))
    return message


@pytest.mark.parametrize("labelled", [True, False])
async def test_it_is_what_celery_sends_but_for_its_ids(
    redis: Redis, settings: Settings, labelled: bool
) -> None:
    cause = uuid4() if labelled else None
    straight, through_celery = Wakeups(settings, redis), Wakeups(settings)
    seen = []
    for wakeups in (straight, through_celery):
        assert await wakeups.send(JobKind.CHAT, cause)
        message = await _sent(redis, settings, JobKind.CHAT)
        seen.append(message["headers"]["id"])
        assert message["properties"]["correlation_id"] == message["headers"]["root_id"] == seen[-1]
        seen.append(message["properties"].pop("delivery_tag"))
        for header in ("id", "root_id", "origin"):
            del message["headers"][header]
        for name in ("correlation_id", "reply_to"):
            del message["properties"][name]
        if wakeups is straight:
            filled = message
        wakeups.close()
    assert filled == message
    assert message["body"][0] == [None if cause is None else str(cause)]
    assert len(set(seen)) == 4


async def test_each_is_one_of_its_own_and_celery_takes_them(redis: Redis, settings: Settings) -> None:
    wakeups = Wakeups(settings, redis)
    causes = [uuid4(), uuid4()]
    for cause in causes:
        await wakeups.send(JobKind.QUERY, cause)
    await wakeups.send(JobKind.QUERY, None, count=2)
    assert await wakeups.waiting(JobKind.QUERY) == 4
    wakeups.close()
    app = Celery("reader", set_as_current=False)
    configure(app, settings)
    taken = []
    with app.connection_for_read() as connection:
        queue = Queue(queue_name(settings, JobKind.QUERY))(connection.default_channel)
        while message := queue.get(no_ack=True):
            assert message.headers["task"] == task_name(JobKind.QUERY)
            taken.append((message.headers["id"], message.decode()[0][0]))
    app.close()
    assert [label for _, label in taken] == [*map(str, causes), None, None]
    assert len({task for task, _ in taken}) == 4


async def test_another_broker_gets_them_through_celery(redis: Redis, settings: Settings) -> None:
    other = settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"})
    wakeups = Wakeups(other, redis)
    assert not await wakeups.send(JobKind.CHAT, uuid4())
    assert await redis.exists(key_prefix(settings) + queue_name(settings, JobKind.CHAT)) == 0
    wakeups.close()


async def test_a_redis_that_is_away_is_told_not_raised(settings: Settings) -> None:
    gone = Redis.from_url("redis://127.0.0.1:1/0")
    wakeups = Wakeups(settings, gone)
    assert not await wakeups.send(JobKind.CHAT, uuid4())
    wakeups.close()
    await gone.aclose()
