"""One active turn a conversation: what happens to the others, whatever the active one is doing."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.errors import ConversationBusyError, JobNotEndedError
from shared.jobs import accept, closing
from shared.jobs.finish import finish_post_response
from shared.jobs.job import Job
from shared.jobs.messages import Reply
from shared.jobs.retry import retry
from shared.jobs.states import Outcome, Phase, PostResponse, Status
from shared.jobs.store import Activated
from tests.integration.jobs.house import House

STATES = ("ready", "running", "lost", "after the answer", "lost after the answer")


async def _active(house: House, state: str) -> Job:
    """A conversation's active turn in ``state``."""
    job = await house.accepted()
    if state == "ready":
        return job
    job = await house.claim()
    if "after the answer" in state:
        job = (await house.end(job, post_response=True)).job
        assert (job.phase, job.status, job.post_response) == (Phase.HELD, Status.SUCCEEDED, "running")
    return await house.lose(job) if state.startswith("lost") else job


async def _next(house: House, job: Job, on_busy: str, message: str = "Next?") -> Job:
    return await house.accepted(conversation_id=job.conversation_id, on_busy=on_busy, message=message)


async def _active_turns(house: House, conversation: UUID | None) -> int:
    row = await house.row(
        "SELECT count(*) AS n FROM jobs WHERE conversation_id = :id AND phase IN ('ready', 'held')",
        id=conversation,
    )
    return int(row["n"])


@pytest.mark.parametrize("state", ["ready", "running", "lost"])
async def test_reject_refuses_before_done(house: House, state: str) -> None:
    job = await _active(house, state)
    with pytest.raises(ConversationBusyError, match="'enqueue' or 'interrupt'"):
        await _next(house, job, "reject")
    assert len(await house.rows("SELECT id FROM messages WHERE role = 'user'")) == 1


@pytest.mark.parametrize("state", ["after the answer", "lost after the answer"])
async def test_reject_waits_for_what_follows_the_answer(house: House, state: str) -> None:
    job = await _active(house, state)
    behind = await _next(house, job, "reject")
    assert behind.phase is Phase.WAITING
    with pytest.raises(ConversationBusyError):
        await _next(house, job, "reject")


async def test_reject_refuses_while_one_waits(house: House) -> None:
    job = await _active(house, "running")
    await _next(house, job, "enqueue")
    with pytest.raises(ConversationBusyError):
        await _next(house, job, "reject")


@pytest.mark.parametrize("state", STATES)
async def test_enqueue_waits(house: House, state: str) -> None:
    job = await _active(house, state)
    behind = await _next(house, job, "enqueue")
    assert behind.phase is Phase.WAITING
    assert await _active_turns(house, job.conversation_id) == 1
    # Its question is not on show, and has no place in the tree yet.
    message = await house.row("SELECT parent_id FROM messages WHERE id = :id", id=behind.user_message_id)
    assert message["parent_id"] is None
    shown = await house.row("SELECT active_message_id FROM conversations")
    assert shown["active_message_id"] != behind.user_message_id


ENDS = ("succeeded", "after its stages", "failed", "cancelled", "cancelled while ready", "exhausted")


async def _end(house: House, state: str) -> tuple[Job, Job]:
    """A turn that ends in one of the ways, and the one that was behind it."""
    job = await house.accepted()
    if state == "cancelled while ready":
        behind = await _next(house, job, "enqueue")
        await house.canceller.cancel(job.id)
        return await house.job(job.id), behind
    job = await house.claim()
    behind = await _next(house, job, "enqueue")
    if state == "after its stages":
        await house.end(job, post_response=True)
        assert (await house.job(behind.id)).phase is Phase.WAITING
        finished = await finish_post_response(house.store, job, state=PostResponse.DONE, next_seq=5)
        await house.closer.wake(finished)
    elif state == "exhausted":
        await house.closer.end(job, Status.FAILED, {"code": "attempts_exhausted", "message": "…"})
    else:
        await house.closer.wake(await house.end(job, Status(state)))
    return await house.job(job.id), behind


@pytest.mark.parametrize("way", ENDS)
async def test_whatever_ends_the_active_turn_activates_the_one_behind_it(house: House, way: str) -> None:
    ended, behind = await _end(house, way)
    now = await house.job(behind.id)
    assert (ended.phase, now.phase) == (Phase.ENDED, Phase.READY)
    assert house.wakeups.woken == [behind.id]
    conversation = await house.row("SELECT * FROM conversations")
    assert conversation["active_message_id"] == behind.user_message_id
    message = await house.row("SELECT parent_id FROM messages WHERE id = :id", id=behind.user_message_id)
    # The parent is what was on show when the turn was activated: the answer, or the question without one.
    assert message["parent_id"] == (ended.message_id or ended.user_message_id)


async def test_those_that_wait_come_in_order_each_behind_the_answer_before(house: House) -> None:
    first = await house.claimed()
    behind = [await _next(house, first, "enqueue", f"Question {n}?") for n in range(3)]
    answer = (await house.end(first)).message_id
    for job in behind:
        claimed = await house.claim()
        assert claimed.id == job.id
        assert await _active_turns(house, first.conversation_id) == 1
        message = await house.row("SELECT parent_id FROM messages WHERE id = :id", id=job.user_message_id)
        assert message["parent_id"] == answer
        answer = (await house.end(claimed)).message_id
    assert await _active_turns(house, first.conversation_id) == 0


async def test_a_parent_that_was_given_is_kept(house: House) -> None:
    first = await house.claimed()
    behind = await house.accepted(
        conversation_id=first.conversation_id, on_busy="enqueue", parent_message_id=first.user_message_id
    )
    await house.end(first)
    message = await house.row("SELECT parent_id FROM messages WHERE id = :id", id=behind.user_message_id)
    assert message["parent_id"] == first.user_message_id


@pytest.mark.parametrize("state", STATES)
async def test_interrupt_cancels_what_is_there_and_comes_next(house: House, state: str) -> None:
    job = await _active(house, state)
    waiting = [await _next(house, job, "enqueue") for _ in range(2)]
    acceptance = await house.accept(conversation_id=job.conversation_id, on_busy="interrupt")
    new = acceptance.job
    assert [one.id for one in acceptance.interrupted] == [job.id, *(one.id for one in waiting)]
    for interrupted in acceptance.interrupted:
        await house.canceller.enforce(interrupted)
    for one in waiting:
        ended = await house.job(one.id)
        assert (ended.phase, ended.status, ended.attempt) == (Phase.ENDED, Status.CANCELLED, 1)
    now = await house.job(job.id)
    if now.phase is Phase.HELD:
        # Its worker was told; what it commits is decided by the mark.
        assert now.lease in {member.decode() for member in await house.redis.smembers(house.leases.cancels)}
        assert (await house.job(new.id)).phase is Phase.WAITING
        if now.answered:
            await finish_post_response(house.store, now, state=PostResponse.CANCELLED, next_seq=4)
        else:
            await house.end(now)
        now = await house.job(job.id)
    answered = "after the answer" in state
    assert (now.phase, now.status) == (Phase.ENDED, Status.SUCCEEDED if answered else Status.CANCELLED)
    if answered:
        assert now.post_response is PostResponse.CANCELLED
        assert now.message_id is not None
    assert (await house.job(new.id)).phase is Phase.READY
    assert await _active_turns(house, job.conversation_id) == 1


async def test_an_interrupt_that_nobody_carries_out_is_carried_out_by_the_sweep(house: House) -> None:
    """The gateway that accepted it may die right after its commit."""
    job = await house.accepted()
    waiting = await _next(house, job, "enqueue")
    new = await _next(house, job, "interrupt")
    await house.sweep.sweep()
    states = [(await house.job(one.id)).phase for one in (job, waiting, new)]
    assert states == [Phase.ENDED, Phase.ENDED, Phase.READY]
    assert new.id in house.wakeups.woken


async def test_a_turn_accepted_while_a_waiting_one_is_cancelled_is_not_left_behind(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who ends a waiting turn looks for what to activate; a turn that queues meanwhile must be seen."""
    first = await house.claimed()
    waiting = await _next(house, first, "enqueue")
    await house.do("UPDATE jobs SET cancel_requested_at = now() WHERE id = :id", id=waiting.id)
    await house.end(first)
    looked, go_on = asyncio.Event(), asyncio.Event()
    activate_next = closing.activate_next

    async def look(connection: AsyncConnection, conversation_id: UUID | None) -> Activated | None:
        found = await activate_next(connection, conversation_id)
        looked.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(closing, "activate_next", look)
    cancelling = asyncio.create_task(house.canceller.enforce(await house.job(waiting.id)))
    await looked.wait()
    accepting = asyncio.create_task(_next(house, first, "enqueue"))
    await _blocked(house, accepting)
    go_on.set()
    await cancelling
    assert (await accepting).phase is Phase.READY


async def _blocked(house: House, task: asyncio.Task[Job]) -> None:
    """Wait until one of our sessions waits for a lock, or the task is done."""
    async with asyncio.timeout(10):
        while not task.done():
            row = await house.row(
                "SELECT count(*) AS n FROM pg_stat_activity "
                "WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            if row["n"]:
                return
            await asyncio.sleep(0.01)


async def test_turns_accepted_at_the_same_time_leave_one_active(house: House) -> None:
    first = await house.claimed()
    await house.end(first)
    accepted = await asyncio.gather(
        *(_next(house, first, "enqueue", f"Question {n}?") for n in range(5)), return_exceptions=True
    )
    phases = sorted(job.phase if isinstance(job, Job) else repr(job) for job in accepted)
    assert phases == [Phase.READY, *[Phase.WAITING] * 4]


@pytest.mark.parametrize("said", ["", "Bec"])
async def test_a_retry_and_a_new_turn_at_the_same_time(
    house: House, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """Both want to be the active turn: one gets it, the other is told so; nobody hits the constraint."""
    job = await house.claimed()
    failed = (await house.end(job, Status.FAILED, reply=Reply(content=said))).job
    inserted, go_on = asyncio.Event(), asyncio.Event()
    write_messages = accept.write_messages

    async def write(*what: Any, **how: Any) -> Any:
        inserted.set()
        await go_on.wait()
        return await write_messages(*what, **how)

    monkeypatch.setattr(accept, "write_messages", write)
    accepting = asyncio.create_task(_next(house, failed, "reject"))
    await inserted.wait()
    retrying = asyncio.create_task(retry(house.store, house.log, house.wakeups, failed))  # type: ignore[arg-type]
    await _blocked(house, retrying)
    go_on.set()
    assert (await accepting).phase is Phase.READY
    with pytest.raises(ConversationBusyError):
        await retrying
    assert await _active_turns(house, failed.conversation_id) == 1


async def test_a_retry_is_refused_while_another_turn_is_active(house: House) -> None:
    failed = (await house.end(await house.claimed(), Status.FAILED)).job
    await _next(house, failed, "reject")
    with pytest.raises(ConversationBusyError):
        await retry(house.store, house.log, house.wakeups, failed)  # type: ignore[arg-type]
    with pytest.raises(JobNotEndedError):
        await retry(house.store, house.log, house.wakeups, await house.claim())  # type: ignore[arg-type]


async def test_a_turn_that_was_cancelled_while_it_waited_is_retried_in_its_place(
    house: House,
) -> None:
    """It was never activated, so that its question had no place yet."""
    first = await house.claimed()
    waiting = await _next(house, first, "enqueue")
    await house.canceller.cancel(waiting.id)
    answer = (await house.end(first)).message_id
    retried = await retry(house.store, house.log, house.wakeups, await house.job(waiting.id))  # type: ignore[arg-type]
    assert retried.phase is Phase.READY
    message = await house.row("SELECT parent_id FROM messages WHERE id = :id", id=waiting.user_message_id)
    assert message["parent_id"] == answer
    finished = await house.end(await house.claim())
    conversation = await house.row("SELECT active_message_id FROM conversations")
    assert conversation["active_message_id"] == finished.message_id


async def test_a_drained_turn_stays_the_active_one(house: House) -> None:
    job = await house.claimed()
    behind = await _next(house, job, "enqueue")
    await house.store.make_claimable(job.id, job.attempt, Outcome.DRAINED, counts=False)
    assert (await house.claim()).id == job.id
    assert (await house.job(behind.id)).phase is Phase.WAITING
