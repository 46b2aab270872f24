"""A Redis subscription that notices when it was lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

log = logging.getLogger(__name__)

#: Seconds between two pings of a quiet subscription, and until one without an answer counts as lost.
PING_EVERY = 4.0
LOST_AFTER = 10.0
#: Seconds until a lost subscription is tried again: the first time, and at most.
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0

Message = list[Any]


async def messages(pubsub: PubSub) -> AsyncIterator[Message]:
    """What comes in, as ``[kind, channel, data]``.

    Raises:
        RedisTimeoutError: not even a ping is answered: the connection was cut without a word.
    """
    while True:
        message = await pubsub.parse_response(block=False, timeout=LOST_AFTER)
        if message is None:
            raise RedisTimeoutError("no answer to a ping")
        if message[0] != b"pong":
            yield message


async def keep_subscribed(
    redis: Redis,
    channel: str,
    receive: Callable[[PubSub], Awaitable[None]],
    *also: Callable[[PubSub], Awaitable[None]],
    lost: Callable[[], None] = lambda: None,
) -> None:
    """Subscribe to ``channel`` and run ``receive`` and ``also`` on the subscription, anew after every loss,
    until cancelled.

    Args:
        redis: whose connection is used.
        channel: the channel that is always subscribed.
        receive: reads the subscription.
        also: whatever else uses it.
        lost: called after every loss.
    """
    pause = FIRST_PAUSE
    while True:
        pubsub = redis.pubsub()
        try:
            await pubsub.subscribe(channel)
            pause = FIRST_PAUSE
            async with asyncio.TaskGroup() as group:
                for use in (_ping, receive, *also):
                    group.create_task(_run(use, pubsub))
        except* (RedisError, OSError) as errors:
            log.warning("a subscription was lost", extra={"error": type(errors.exceptions[0]).__name__})
        finally:
            lost()
            with suppress(RedisError, OSError):
                await pubsub.aclose()
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


async def _run(use: Callable[[PubSub], Awaitable[None]], pubsub: PubSub) -> None:
    await use(pubsub)


async def _ping(pubsub: PubSub) -> None:
    while True:
        await asyncio.sleep(PING_EVERY)
        await pubsub.ping()
