"""Clients that follow a job through a silence: they are kept, and what they have is not read again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from gateway.streaming.follow import Follower
from gateway.streaming.hub import Hub
from shared.jobs.event_log import Entry
from shared.jobs.job import Job
from shared.schemas.events import EventId, EventType
from tests.integration.jobs.house import House

#: Seconds after which a client is looked after.
SILENCE = 0.05


@asynccontextmanager
async def followed(
    house: House, job: Job, cursor: EventId | None = None
) -> AsyncIterator[AsyncIterator[list[Entry]]]:
    """What a client of a gateway gets, that has everything up to ``cursor``."""
    hub = Hub(house.redis, house.log, 1000)
    follower = Follower(house.store, house.log, hub, SILENCE)
    hearing = asyncio.create_task(hub.run())
    try:
        async with (
            asyncio.timeout(30),
            hub.watch(job.id) as inbox,
            aclosing(follower.follow(job, inbox, cursor)) as batches,  # type: ignore[type-var]
        ):
            yield batches
    finally:
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)


async def _next(batches: AsyncIterator[list[Entry]]) -> list[Entry]:
    """The next batch that is more than a sign of life."""
    async for batch in batches:
        if batch:
            return batch
    raise AssertionError("it has ended")


async def _silence(house: House, job: Job, batches: AsyncIterator[list[Entry]], signs: int) -> list[str]:
    """The commands that were given for the job's stream during ``signs`` signs of life."""
    commands: list[str] = []
    async with house.redis.monitor() as monitor:
        for _ in range(signs):
            assert await anext(batches) == []
        await house.redis.echo("the silence is over")
        async for given in monitor.listen():
            if "the silence is over" in given["command"]:
                return [command.split()[0].upper() for command in commands]
            if house.log.stream(job.id) in given["command"]:
                commands.append(given["command"])
    raise AssertionError("it did not end")


async def test_a_silent_stream_is_not_read_again(house: House) -> None:
    job = await house.claimed()
    writer = house.writer()
    stream = writer.open(job)
    await house.tell(writer, stream, job, "Be", "cause")
    async with followed(house, job) as batches:
        assert [str(entry.id) for entry in await _next(batches)] == ["1-0", "1-1", "1-2"]
        # Looked at its end, once for each sign of life; never read.
        assert await _silence(house, job, batches, 5) == ["XREVRANGE"] * 5
        # It goes on live,
        await house.tell(writer, stream, job, ".")
        assert [str(entry.id) for entry in await _next(batches)] == ["1-3"]
        assert set(await _silence(house, job, batches, 3)) == {"XREVRANGE"}
        # and from the stream, when what was told was not heard.
        await house.redis.xadd(
            house.log.stream(job.id), {"t": EventType.CHUNK.value, "d": "{}"}, id=str(EventId(1, 4))
        )
        assert [str(entry.id) for entry in await _next(batches)] == ["1-4"]


async def test_a_client_that_comes_back_and_has_everything(house: House) -> None:
    job = await house.claimed()
    writer = house.writer()
    stream = writer.open(job)
    await house.tell(writer, stream, job, "Be")
    async with followed(house, job, EventId(1, 1)) as batches:
        assert set(await _silence(house, job, batches, 2)) == {"XREVRANGE"}
        await house.tell(writer, stream, job, "cause")
        assert [str(entry.id) for entry in await _next(batches)] == ["1-2"]
    # One that has less gets the rest.
    async with followed(house, job, EventId(1, 0)) as batches:
        assert [str(entry.id) for entry in await _next(batches)] == ["1-1", "1-2"]


async def test_the_end_of_a_job_is_found_after_a_silence(house: House) -> None:
    """Its row has ended, its stream ends where the client is: its end is told from the row."""
    job = await house.claimed()
    writer = house.writer()
    stream = writer.open(job)
    await house.tell(writer, stream, job, "Because.")
    async with followed(house, job) as batches:
        await _next(batches)
        await _silence(house, job, batches, 2)
        await house.end(job)
        told = await _next(batches)
        assert [entry.type for entry in told] == ["restart", "chunk", "done", "post_response_complete"]
