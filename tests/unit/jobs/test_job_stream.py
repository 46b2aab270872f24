"""An attempt's events in memory: numbered without holes, kept until the job has ended."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from shared.jobs.job_stream import JobStream
from shared.schemas.events import EventId, EventType
from tests.unit.jobs.rows import make_job


def make(limit: int = 10**6) -> tuple[JobStream, list[JobStream]]:
    woken: list[JobStream] = []
    return JobStream(make_job(attempt=3), pending_limit=limit, wake=woken.append, now=0.0), woken


def test_events_are_numbered_from_nought_and_wake_the_writer() -> None:
    stream, woken = make()
    ids = [stream.emit(EventType.CHUNK, {"content": "x"}) for _ in range(3)]
    assert ids == [EventId(3, 0), EventId(3, 1), EventId(3, 2)]
    assert woken == [stream] * 3
    assert stream.next_seq == 3


@given(st.lists(st.integers(1, 300), min_size=1, max_size=30), st.integers(1, 1000), st.data())
def test_batches_carry_everything_once_in_order(sizes: list[int], limit: int, data: st.DataObject) -> None:
    stream, _ = make()
    for size in sizes:
        stream.emit(EventType.CHUNK, {"content": "x" * size})
    everything = stream.batch(10**9)
    sent = []
    while not stream.drained:
        batch = stream.batch(limit)
        assert batch
        assert len(batch) == 1 or sum(len(one) + 32 for _, one in batch) <= limit
        taken = data.draw(st.integers(1, len(batch)))
        sent += batch[:taken]
        stream.acknowledge(taken)
    assert sent == everything
    assert stream._pending_bytes == 0


@given(st.integers(1, 30), st.integers(0, 40), st.integers(0, 30))
def test_it_goes_on_from_wherever_redis_is(events: int, seq: int, acked: int) -> None:
    stream, _ = make()
    for number in range(events):
        stream.emit(EventType.CHUNK, {"content": str(number)})
    stream.acknowledge(min(acked, events))
    stream.continue_from(seq)
    assert stream.acked == min(seq, events)
    assert len(stream.batch(10**9)) == events - stream.acked
    stream.acknowledge(events - stream.acked)
    assert stream.drained
    assert stream._pending_bytes == 0


async def test_a_full_stream_has_room_when_it_drains_or_is_fenced() -> None:
    for make_room in (lambda one: one.acknowledge(1), JobStream.fence):
        stream, _ = make(limit=50)
        stream.emit(EventType.CHUNK, {"content": "x" * 50})
        assert stream.full
        waiting = asyncio.create_task(stream.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        make_room(stream)
        await asyncio.wait_for(waiting, 1)


async def test_being_fenced_is_told_once_and_drops_what_waits() -> None:
    stream, _ = make()
    told: list[int] = []
    stream.on_fenced = lambda: told.append(1)
    stream.emit(EventType.CHUNK, {"content": "x"})
    flushing = asyncio.create_task(stream.flush(5))
    await asyncio.sleep(0)
    stream.fence()
    stream.fence()
    assert told == [1]
    assert await flushing is False
    assert stream.batch(100) == []
    assert await stream.flush(1) is False


async def test_a_flush_waits_for_the_last_acknowledgement() -> None:
    stream, _ = make()
    for _ in range(2):
        stream.emit(EventType.CHUNK, {"content": "x"})
    flushing = asyncio.create_task(stream.flush(5))
    await asyncio.sleep(0)
    stream.acknowledge(1)
    await asyncio.sleep(0)
    assert not flushing.done()
    stream.acknowledge(1)
    assert await flushing is True
