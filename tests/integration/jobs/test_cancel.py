"""Cancel is real, whoever holds the job or nobody; what was generated is kept."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from shared.jobs.answers import stored_reply
from shared.jobs.cancellation import Canceller, cancel_channel
from shared.jobs.closing import Closer
from shared.jobs.event_data import outcome_events
from shared.jobs.event_log import EventLog
from shared.jobs.leases import Leases
from shared.jobs.messages import Reply
from shared.jobs.states import Outcome, Phase, PostResponse, Status
from shared.jobs.store import AttemptLostError
from tests.integration.jobs.faults import Faults, faulty_redis
from tests.integration.jobs.house import House


async def test_a_queued_turn_is_ended_at_once(house: House) -> None:
    job = await house.accepted()
    cancelled = await house.canceller.cancel(job.id)
    assert cancelled is not None
    assert (cancelled.phase, cancelled.status, cancelled.attempt) == (Phase.ENDED, Status.CANCELLED, 1)
    assert cancelled.message_id is None
    assert await house.types(job.id) == ["session_start", "cancelled"]
    assert (await house.entries(job.id))[-1].id == cancelled.final_event_id
    assert await house.attempts(job.id) == {1: Outcome.CANCELLED}
    assert 0 < await house.redis.ttl(house.log.stream(job.id)) <= house.settings.event_retention
    assert house.wakeups.reported == [(job.kind, job.id)]


async def test_a_waiting_turn_is_ended_at_once(house: House) -> None:
    first = await house.claimed()
    job = await house.accepted(conversation_id=first.conversation_id, on_busy="enqueue")
    cancelled = await house.canceller.cancel(job.id)
    assert cancelled is not None
    assert (cancelled.phase, cancelled.status, cancelled.attempt) == (Phase.ENDED, Status.CANCELLED, 1)
    assert await house.types(job.id) == ["session_start", "cancelled"]
    assert (await house.entries(job.id))[-1].id == cancelled.final_event_id
    assert (await house.job(first.id)).phase is Phase.HELD
    assert house.wakeups.reported == [(job.kind, job.id)]


async def test_who_holds_it_is_told_by_flag_and_by_message(house: House) -> None:
    job = await house.claimed()
    await house.leases.hold([job.lease])
    pubsub = house.redis.pubsub()
    await pubsub.subscribe(cancel_channel(house.settings.namespace))
    await pubsub.get_message(timeout=5)
    cancelled = await house.canceller.cancel(job.id)
    assert cancelled is not None
    assert (cancelled.phase, cancelled.shown_status) == (Phase.HELD, "cancelling")
    assert (await pubsub.get_message(timeout=5))["data"] == job.lease.encode()
    assert (await house.leases.renew([job.lease])).flagged == [job.lease]
    # Its holder ends it, and tells so itself.
    assert house.wakeups.reported == []
    await pubsub.aclose()


async def test_cancelling_twice_changes_nothing(house: House) -> None:
    job = await house.accepted()
    first = await house.canceller.cancel(job.id)
    assert first is not None
    assert await house.canceller.cancel(job.id) is None
    assert await house.canceller.cancel(uuid4()) is None
    now = await house.job(job.id)
    assert (now.attempt, now.ended_at) == (1, first.ended_at)


async def test_the_mark_keeps_its_first_time(house: House) -> None:
    job = await house.claimed()
    times = [(await house.canceller.cancel(job.id)).cancel_requested_at for _ in range(2)]  # type: ignore[union-attr]
    assert times[0] == times[1]


async def test_what_an_earlier_attempt_said_is_kept(house: House) -> None:
    """Read behind the closer's own fence, so that it is exactly what clients have."""
    writer = house.writer()
    job = await house.claimed()
    stream = writer.open(job)
    await house.tell(writer, stream, job, "Be", "cau")
    await house.lose(job)
    cancelled = await house.canceller.cancel(job.id)
    assert cancelled is not None
    assert (cancelled.status, cancelled.attempt) == (Status.CANCELLED, 2)
    assert (await stored_reply(house.store, cancelled)).content == "Becau"
    assert await house.types(job.id) == ["session_start", "chunk", "chunk", "fence", "cancelled"]
    # The dead worker comes back: nothing of it is written.
    await house.tell(writer, stream, job, "se.")
    assert stream.fenced
    with pytest.raises(AttemptLostError):
        await house.end(job)
    assert (await house.ids(job.id))[-1] == "2-1"


async def test_nobody_else_holds_it_while_it_is_ended(house: House) -> None:
    job = await house.accepted()
    results = await asyncio.gather(*(house.canceller.cancel(job.id) for _ in range(4)))
    assert sum(one is not None for one in results) >= 1
    now = await house.job(job.id)
    assert (now.phase, now.status) == (Phase.ENDED, Status.CANCELLED)
    assert (await house.types(job.id)).count("cancelled") == 1


@pytest.mark.parametrize("told", [True, False])
async def test_with_the_answer_stored_the_turn_stays_succeeded(house: House, told: bool) -> None:
    """Its worker died in stages 4 and 5, with ``done`` in the stream or not."""
    writer = house.writer()
    job = await house.claimed()
    stream = writer.open(job)
    await house.tell(writer, stream, job, "Because.")
    finished = await house.end(job, post_response=True, next_seq=stream.next_seq)
    if told:
        for event in outcome_events(finished.job):
            stream.emit(*event)
        await house.tell(writer, stream, job)
    await house.lose(job)
    cancelled = await house.canceller.cancel(job.id)
    assert cancelled is not None
    assert (cancelled.status, cancelled.post_response) == (Status.SUCCEEDED, PostResponse.CANCELLED)
    assert cancelled.message_id == finished.message_id
    tail = ["fence", "post_response_complete"]
    if not told:
        tail[1:1] = ["restart", "chunk", "done"]
    assert await house.types(job.id) == ["session_start", "chunk", *(["done"] if told else []), *tail]
    assert (await house.entries(job.id))[-1].id == cancelled.final_event_id


async def test_with_redis_down_the_mark_is_enough(house: House, redis_url: str) -> None:
    faults = Faults()
    client: Redis = faulty_redis(redis_url, faults)
    log = EventLog(client, house.settings.namespace)
    leases = Leases(client, house.settings.namespace, 3.0)
    closer = Closer(house.store, log, house.wakeups, "closer", 3600)  # type: ignore[arg-type]
    canceller = Canceller(house.store, leases, client, closer, house.settings.namespace)
    faults.refusing = True
    queued, running = await house.accepted(), await house.accepted()
    cancelled = await canceller.cancel(queued.id)
    assert cancelled is not None
    assert cancelled.status is Status.CANCELLED
    assert (await house.claim()).id == running.id
    marked = await canceller.cancel(running.id)
    assert marked is not None
    assert marked.marked
    finished = await house.end(await house.job(running.id), reply=Reply(content="All of it."))
    assert finished.job.status is Status.CANCELLED
    await client.aclose()


async def test_a_closer_that_dies_leaves_nothing_behind_for_ever(house: House) -> None:
    """Between taking the attempt and its commit: the reaper finds the row, the sweep ends it."""
    job = await house.accepted()
    await house.do("UPDATE jobs SET cancel_requested_at = now()")
    taken = await house.store.take(await house.job(job.id), "closer")
    assert taken is not None
    await house.reaper.find_suspects()
    assert house.reaper.suspects == {taken.lease}
    for _ in range(8):
        await house.reaper.look()
        house.clock.pass_by(0.5)
    await house.sweep.sweep()
    now = await house.job(job.id)
    assert (now.phase, now.status, now.attempt) == (Phase.ENDED, Status.CANCELLED, 2)
