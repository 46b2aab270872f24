"""The writer: one trip at a time for all jobs, fenced by the stream, and a memory that refills Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.jobs.event_log import EventLog
from shared.jobs.job import Job
from shared.jobs.job_stream import JobStream
from shared.jobs.writer import EventWriter
from shared.schemas.events import EventType
from tests.integration.jobs.faults import Faults, faulty_redis
from tests.integration.jobs.house import House

TEXTS = ("Be", "cau", "se.")


def say(stream: JobStream, *texts: str) -> None:
    for text in texts:
        stream.emit(EventType.CHUNK, {"content": text, "thinking": "", "tool_calls": None})


async def trips(writer: EventWriter) -> None:
    """Trips, and what Postgres is asked between them, until nothing is left to send."""
    async with asyncio.timeout(10):
        while True:
            while await writer.trip():
                pass
            asked = list(writer._confirmations)
            if not asked:
                return
            await asyncio.wait(asked)


@asynccontextmanager
async def running(writer: EventWriter) -> AsyncIterator[None]:
    task = asyncio.create_task(writer.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def begun(house: House, writer: EventWriter, *texts: str) -> tuple[Job, JobStream]:
    """A claimed turn whose first events are in Redis."""
    job = await house.claimed()
    stream = writer.open(job)
    await house.tell(writer, stream, job, *texts)
    return job, stream


async def text(house: House, job: Job) -> str:
    return "".join(
        entry.payload()["content"] for entry in await house.entries(job.id) if entry.type == "chunk"
    )


async def test_events_get_ids_without_holes(house: House) -> None:
    writer = house.writer()
    job, stream = await begun(house, writer, *TEXTS)
    assert await house.ids(job.id) == ["1-0", "1-1", "1-2", "1-3"]
    assert await house.types(job.id) == ["session_start", *["chunk"] * 3]
    assert stream.drained
    assert (stream.acked, stream.next_seq) == (4, 4)
    assert all(entry.payload()["session_id"] == str(job.id) for entry in await house.entries(job.id))


async def test_what_waits_goes_in_one_trip(house: House) -> None:
    writer = house.writer()
    job, stream = await begun(house, writer)
    say(stream, *TEXTS)
    assert await writer.trip()
    assert not await writer.trip()
    assert await text(house, job) == "Because."


async def test_one_trip_carries_every_job(house: House) -> None:
    writer = house.writer()
    started = [await begun(house, writer) for _ in range(5)]
    for _, stream in started:
        say(stream, *TEXTS)
    await writer.trip()
    assert [await text(house, job) for job, _ in started] == ["Because."] * 5


async def test_a_trip_is_bounded_and_no_job_starves_another(house: House) -> None:
    house.settings = house.settings.model_copy(update={"trip_bytes": 4096})
    writer = house.writer()
    loud, quiet = await begun(house, writer), await begun(house, writer)
    say(loud[1], *["x" * 500] * 100)
    say(quiet[1], "psst")
    await writer.trip()
    await writer.trip()
    assert await text(house, quiet[0]) == "psst"
    assert 0 < len(await text(house, loud[0])) <= 2 * 4096
    await trips(writer)
    assert len(await text(house, loud[0])) == 50_000


async def test_an_event_larger_than_a_trip_goes_all_the_same(house: House) -> None:
    house.settings = house.settings.model_copy(update={"trip_bytes": 1024})
    writer = house.writer()
    job, stream = await begun(house, writer)
    say(stream, "x" * 10_000, "y")
    await trips(writer)
    assert len(await text(house, job)) == 10_001


async def test_a_full_job_waits_for_room(house: House) -> None:
    house.settings = house.settings.model_copy(update={"pending_bytes": 1024})
    writer = house.writer()
    _, stream = await begun(house, writer)
    assert not stream.full
    say(stream, "x" * 1024)
    assert stream.full
    waiting = asyncio.create_task(stream.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    await trips(writer)
    await waiting
    assert not stream.full


async def test_a_newer_attempt_fences_and_the_holder_is_told(house: House) -> None:
    writer, other = house.writer(), house.writer()
    job, stream = await begun(house, writer, "Be")
    told = []
    stream.on_fenced = lambda: told.append(stream.job_id)
    await house.lose(job)
    await house.tell(other, other.open(await house.claim()), await house.job(job.id))
    say(stream, "cause")
    await trips(writer)
    assert (stream.fenced, told) == (True, [job.id])
    assert await house.ids(job.id) == ["1-0", "1-1", "2-0"]
    assert not await stream.flush(1)
    # Nothing of it is written ever after.
    say(stream, "more")
    await trips(writer)
    assert await house.ids(job.id) == ["1-0", "1-1", "2-0"]


async def test_a_refused_append_is_not_told(house: House) -> None:
    writer, other = house.writer(), house.writer()
    job, stream = await begun(house, writer, "Be")
    await house.lose(job)
    second = await house.claim()
    await house.tell(other, other.open(second), second)
    pubsub = house.redis.pubsub()
    await pubsub.subscribe(house.log.channel(job.id))
    await pubsub.get_message(timeout=5)
    say(stream, "cause")
    await trips(writer)
    await house.redis.publish(house.log.channel(job.id), b"stop")
    assert (await pubsub.get_message(timeout=5))["data"] == b"stop"
    await pubsub.aclose()


LOSSES = ("everything", "the stream", "the tail", "the scripts", "nothing")


async def lose_what(house: House, what: str, job: Job) -> None:
    if what == "everything":
        await house.redis.flushall()
        await house.redis.script_flush()
    elif what == "the stream":
        await house.redis.delete(house.log.stream(job.id))
    elif what == "the tail":
        # A server that came back from an older file has an older last id as well.
        entries = (await house.entries(job.id))[:2]
        await house.redis.delete(house.log.stream(job.id))
        for entry in entries:
            await house.redis.xadd(
                house.log.stream(job.id), {"t": entry.type, "d": entry.data}, id=str(entry.id)
            )
    elif what == "the scripts":
        await house.redis.script_flush()


@pytest.mark.parametrize("what", LOSSES)
async def test_what_redis_lost_is_refilled(house: House, what: str) -> None:
    writer = house.writer()
    job, stream = await begun(house, writer, "Be", "cau")
    await lose_what(house, what, job)
    say(stream, "se.")
    await trips(writer)
    assert await house.ids(job.id) == ["1-0", "1-1", "1-2", "1-3"]
    assert await text(house, job) == "Because."
    assert stream.drained


@pytest.mark.parametrize("what", LOSSES)
async def test_a_later_attempt_refills_its_own(house: House, what: str) -> None:
    writer, other = house.writer(), house.writer()
    job, _ = await begun(house, writer, "Be")
    await house.lose(job)
    second = await house.claim()
    stream = other.open(second)
    await house.tell(other, stream, second, "Be", "cau")
    await lose_what(house, what, job)
    say(stream, "se.")
    await trips(other)
    ids = await house.ids(job.id)
    assert ids[-4:] == ["2-0", "2-1", "2-2", "2-3"]
    assert set(ids[:-4]) <= {"1-0", "1-1"}


async def test_only_who_holds_the_job_may_begin_its_stream(house: House) -> None:
    """After a loss the first entry comes back only if Postgres says that the job is still held."""
    writer = house.writer()
    job, stream = await begun(house, writer, "Be")
    await house.lose(job)
    await house.redis.flushall()
    say(stream, "cause")
    await trips(writer)
    assert stream.fenced
    assert await house.ids(job.id) == []


async def test_a_stale_confirmation_is_not_trusted(house: House) -> None:
    """An attempt that was frozen between its claim and its first trip."""
    job = await house.claimed()
    house.settings = house.settings.model_copy(update={"lease_ttl": 1e-9})
    writer = house.writer()
    stream = writer.open(job)
    await house.lose(job)
    say(stream, "late")
    await trips(writer)
    assert stream.fenced
    assert await house.ids(job.id) == []


async def test_postgres_away_holds_the_first_entry_back(house: House) -> None:
    job, answers = await house.claimed(), iter([OSError("away"), True])

    async def confirm(job_id: UUID, attempt: int) -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    writer = EventWriter(house.log, confirm, trip_bytes=4096, pending_bytes=4096, lease_ttl=3.0)
    stream = writer.open(job)
    stream.confirmed_at = None
    say(stream, "x")
    async with running(writer):
        assert await stream.flush(10)
    assert await house.ids(job.id) == ["1-0"]


async def test_a_lost_reply_doubles_nothing(house: House, redis_url: str) -> None:
    faults = Faults()
    client = faulty_redis(redis_url, faults)
    writer = EventWriter(
        EventLog(client, house.settings.namespace),
        house.store.holds,
        trip_bytes=4096,
        pending_bytes=4096,
        lease_ttl=3.0,
    )
    job, stream = await begun(house, writer, "Be")
    pubsub = house.redis.pubsub()
    await pubsub.subscribe(house.log.channel(job.id))
    await pubsub.get_message(timeout=5)
    say(stream, "cau")
    faults.lose = 1
    with pytest.raises(RedisError):
        await writer.trip()
    say(stream, "se.")
    await trips(writer)
    assert await text(house, job) == "Because."
    told = b""
    while (message := await pubsub.get_message(timeout=0.5)) is not None:
        told += message["data"]
    assert (told.count(b"cau"), told.count(b"se.")) == (1, 1)
    await pubsub.aclose()
    await client.aclose()


async def test_errors_cost_time_and_no_events(house: House, redis_url: str) -> None:
    faults = Faults()
    client = faulty_redis(redis_url, faults)
    writer = EventWriter(
        EventLog(client, house.settings.namespace),
        house.store.holds,
        trip_bytes=4096,
        pending_bytes=4096,
        lease_ttl=3.0,
    )
    job = await house.claimed()
    stream = writer.open(job)
    async with running(writer):
        faults.refusing = True
        say(stream, *TEXTS)
        await faults.refused.wait()
        assert not await stream.flush(0.01)
        faults.refusing = False
        assert await stream.flush(10)
    assert await text(house, job) == "Because."
    await client.aclose()


async def test_one_jobs_broken_stream_holds_up_no_other(house: House) -> None:
    """A key that is no stream is an error at every trip."""
    writer = house.writer()
    bad, good = await begun(house, writer), await begun(house, writer)
    await house.redis.delete(house.log.stream(bad[0].id))
    await house.redis.set(house.log.stream(bad[0].id), "no stream")
    async with running(writer):
        say(bad[1], "x")
        say(good[1], *TEXTS)
        assert await good[1].flush(10)
        assert not await bad[1].flush(0.01)
        await house.redis.delete(house.log.stream(bad[0].id))
        assert await bad[1].flush(10)
    assert await text(house, good[0]) == "Because."


async def test_closing_waits_for_what_is_under_way(house: House) -> None:
    writer = house.writer()
    job, stream = await begun(house, writer)
    async with running(writer):
        say(stream, *TEXTS)
        await writer.close(stream, 10)
        assert await text(house, job) == "Because."
        say(stream, "late")
        assert not await writer.trip()


async def test_a_flush_gives_up_in_time(house: House) -> None:
    writer = house.writer()
    _, stream = await begun(house, writer)
    say(stream, "x")
    assert not await stream.flush(0.01)


async def test_the_writer_collects_while_a_trip_is_under_way(house: House, redis_url: str) -> None:
    calls: list[Any] = []
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def gate(name: str) -> None:
        calls.append(name)
        if name == "redis pipeline" and not go_on.is_set():
            arrived.set()
            await go_on.wait()

    client: Redis = faulty_redis(redis_url, Faults(gate))
    log = EventLog(client, house.settings.namespace)
    writer = EventWriter(log, house.store.holds, trip_bytes=65536, pending_bytes=65536, lease_ttl=3.0)
    job = await house.claimed()
    stream = writer.open(job)
    async with running(writer):
        say(stream, "0")
        await arrived.wait()
        say(stream, *(str(n) for n in range(1, 50)))
        go_on.set()
        assert await stream.flush(10)
    assert calls.count("redis pipeline") == 2
    assert len(await house.ids(job.id)) == 50
    await client.aclose()
