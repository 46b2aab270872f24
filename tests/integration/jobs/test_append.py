"""The append script: all entries of a trip or none, only behind their predecessor, told when written."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from redis.asyncio.client import PubSub

from shared.jobs.event_log import EventLog, parse_published
from shared.schemas.events import EventId
from tests.integration.jobs.house import House

JOB = UUID(int=7)


@pytest.fixture
def log(house: House) -> EventLog:
    return house.log


@pytest.fixture
async def channel(log: EventLog) -> PubSub:
    pubsub = log.redis.pubsub(ignore_subscribe_messages=False)
    await pubsub.subscribe(log.channel(JOB))
    assert (await pubsub.get_message(timeout=5))["type"] == "subscribe"
    return pubsub


def events(*texts: str) -> list[tuple[bytes, bytes]]:
    return [(b"chunk", b'{"content":"%b"}' % text.encode()) for text in texts]


async def ids(log: EventLog) -> list[str]:
    return [str(entry.id) for entry in await log.after(JOB, None)]


async def told(log: EventLog, channel: PubSub) -> list[str]:
    """What was published until now."""
    await log.redis.publish(log.channel(JOB), b"stop")
    seen = []
    while (message := await channel.get_message(timeout=5)) is not None:
        if message["data"] == b"stop":
            break
        seen += [f"{entry.id} {entry.payload()['content']}" for entry in parse_published(message["data"])]
    return seen


async def test_entries_are_appended_and_told(log: EventLog, channel: PubSub) -> None:
    assert await log.append(JOB, EventId(1, 0), True, events("a", "b")) is True
    assert await log.append(JOB, EventId(1, 2), False, events("c")) is True
    assert await ids(log) == ["1-0", "1-1", "1-2"]
    assert await told(log, channel) == ["1-0 a", "1-1 b", "1-2 c"]
    assert [entry.payload() for entry in await log.after(JOB, EventId(1, 1))] == [{"content": "c"}]
    assert await log.last_id(JOB) == EventId(1, 2)


async def test_a_hole_is_refused_and_not_told(log: EventLog, channel: PubSub) -> None:
    await log.append(JOB, EventId(1, 0), True, events("a"))
    assert await log.append(JOB, EventId(1, 2), True, events("c")) == EventId(1, 0)
    assert await ids(log) == ["1-0"]
    assert await told(log, channel) == ["1-0 a"]


async def test_what_is_there_is_not_written_again(log: EventLog, channel: PubSub) -> None:
    await log.append(JOB, EventId(1, 0), True, events("a", "b"))
    for first in (EventId(1, 0), EventId(1, 1)):
        assert await log.append(JOB, first, True, events("a", "b")) == EventId(1, 1)
    assert await told(log, channel) == ["1-0 a", "1-1 b"]


async def test_an_older_attempt_is_refused(log: EventLog, channel: PubSub) -> None:
    await log.append(JOB, EventId(1, 0), True, events("a"))
    await log.append(JOB, EventId(2, 0), True, events("fence"))
    for first in (EventId(1, 0), EventId(1, 1)):
        assert await log.append(JOB, first, True, events("late")) == EventId(2, 0)
    assert await told(log, channel) == ["1-0 a", "2-0 fence"]


@pytest.mark.parametrize("first", [EventId(1, 0), EventId(3, 0), EventId(1, 1)])
async def test_only_a_confirmed_first_entry_creates_the_stream(log: EventLog, first: EventId) -> None:
    assert await log.append(JOB, first, False, events("a")) is None
    assert await log.last_id(JOB) is None
    assert await log.append(JOB, first, True, events("a")) is (True if first.seq == 0 else None)


async def test_only_a_confirmed_first_entry_follows_another_attempt(log: EventLog) -> None:
    await log.append(JOB, EventId(1, 0), True, events("a"))
    assert await log.append(JOB, EventId(3, 0), False, events("x")) == EventId(1, 0)
    assert await log.append(JOB, EventId(3, 1), True, events("x")) == EventId(1, 0)
    assert await log.append(JOB, EventId(3, 0), True, events("x")) is True
    assert await ids(log) == ["1-0", "3-0"]


async def test_streams_of_other_jobs_are_others(log: EventLog) -> None:
    other = uuid4()
    await log.append(JOB, EventId(1, 0), True, events("a"))
    assert await log.append(other, EventId(1, 1), True, events("b")) is None


async def test_what_a_model_says_is_told_as_it_is(log: EventLog, channel: PubSub) -> None:
    said = "a\\nb €\\u2028%s 漢"
    await log.append(JOB, EventId(1, 0), True, events(said))
    assert [entry.data for entry in await log.after(JOB, None)] == [events(said)[0][1]]
    await log.redis.publish(log.channel(JOB), b"stop")
    [entry] = parse_published((await channel.get_message(timeout=5))["data"])
    assert entry.data == events(said)[0][1]
    assert entry.frame() == b"id: 1-0\nevent: chunk\ndata: " + events(said)[0][1] + b"\n\n"


async def test_many_entries_in_one_call(log: EventLog) -> None:
    await log.append(JOB, EventId(1, 0), True, events(*(str(n) for n in range(3000))))
    assert await log.last_id(JOB) == EventId(1, 2999)


async def test_a_stream_that_nobody_ends_goes_away_at_last_and_a_retry_keeps_it(log: EventLog) -> None:
    key = log.stream(JOB)
    await log.append(JOB, EventId(1, 0), True, events("a"))
    assert 6 * 86_400 < await log.redis.ttl(key) <= 7 * 86_400
    await log.expire(JOB, 3600)
    assert 3500 < await log.redis.ttl(key) <= 3600
    await log.keep(JOB)
    assert await log.redis.ttl(key) > 6 * 86_400
