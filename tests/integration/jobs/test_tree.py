"""The messages of a conversation are a tree: no way to place a question closes it into a circle, and what
reads a branch upwards ends in one all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.models import Message
from shared.database.repositories import conversations
from shared.errors import ConversationNotFoundError
from shared.jobs.job import Job
from shared.jobs.retry import retry
from shared.jobs.states import JobKind, Phase, Status
from tests.integration.jobs.house import WORKER, House
from workers.jobs.turn_readers import TurnReader
from workers.jobs.turns import brought_along


async def _cancelled_while_it_waited(house: House) -> Job:
    """A turn whose question has no place in the tree yet, in a conversation that is at rest."""
    first = await house.claimed(message="First?")
    waiting = await house.accepted(
        conversation_id=first.conversation_id, on_busy="enqueue", message="Second?"
    )
    await house.canceller.cancel(waiting.id)
    await house.end(first)
    return await house.job(waiting.id)


async def _show(house: House, job: Job, message: UUID | None) -> None:
    """What ``PATCH /api/conversations/{id}`` does with ``active_message_id``."""
    async with AsyncSession(house.engine) as session, session.begin():
        assert job.conversation_id is not None
        conversation = await conversations.get(session, house.ada, job.conversation_id, lock=True)
        await conversations.update_(session, conversation, {"active_message_id": message})


async def _retry(house: House, job: Job) -> Job:
    return await retry(house.store, house.log, house.wakeups, job)  # type: ignore[arg-type]


async def _answered(house: House, **given: Any) -> Job:
    job = await house.accepted(**given)
    assert (await house.claim()).id == job.id
    return (await house.end(await house.job(job.id))).job


async def _way_up(house: House, message: UUID | None) -> list[UUID]:
    """The messages from one of them up to the root.

    Raises:
        AssertionError: it comes to itself again.
    """
    parents = {row["id"]: row["parent_id"] for row in await house.rows("SELECT id, parent_id FROM messages")}
    way: list[UUID] = []
    while message is not None:
        assert message not in way, "the tree has a circle"
        way.append(message)
        message = parents[message]
    return way


async def _shown(house: House, job: Job) -> None:
    await _show(house, job, job.user_message_id)


async def _followed(house: House, job: Job) -> None:
    await _answered(house, conversation_id=job.conversation_id, parent_message_id=job.user_message_id)


async def _followed_at_length(house: House, job: Job) -> None:
    await _followed(house, job)
    await _answered(house, conversation_id=job.conversation_id)


async def _answered_again(house: House, job: Job) -> None:
    await _answered(house, conversation_id=job.conversation_id, message=None, answer_to=job.user_message_id)


async def _shown_and_followed(house: House, job: Job) -> None:
    await _shown(house, job)
    await _answered(house, conversation_id=job.conversation_id)


async def _followed_and_left(house: House, job: Job) -> None:
    row = await house.row("SELECT active_message_id FROM conversations")
    await _followed(house, job)
    await _show(house, job, row["active_message_id"])


WAYS = (_shown, _followed, _followed_at_length, _answered_again, _shown_and_followed, _followed_and_left)


@pytest.mark.parametrize("taken_up", WAYS)
async def test_a_question_that_was_taken_up_is_retried_where_it_is(
    house: House, taken_up: Callable[[House, Job], Awaitable[None]]
) -> None:
    job = await _cancelled_while_it_waited(house)
    await taken_up(house, job)
    assert (await _retry(house, job)).phase is Phase.READY
    assert await _way_up(house, job.user_message_id) == [job.user_message_id]
    finished = await house.end(await house.claim())
    assert await _way_up(house, finished.message_id) == [finished.message_id, job.user_message_id]
    # The answer is on show, as that of any turn.
    row = await house.row("SELECT active_message_id FROM conversations")
    assert row["active_message_id"] == finished.message_id
    for message in await house.rows("SELECT id FROM messages"):
        await _way_up(house, message["id"])


@pytest.mark.parametrize("given", ["parent_message_id", "answer_to"])
async def test_a_question_that_was_taken_up_by_what_interrupted_it(house: House, given: str) -> None:
    first = await house.claimed()
    waiting = await house.accepted(conversation_id=first.conversation_id, on_busy="enqueue")
    options: dict[str, Any] = {given: waiting.user_message_id, "on_busy": "interrupt"}
    if given == "answer_to":
        options["message"] = None
    acceptance = await house.accept(conversation_id=first.conversation_id, **options)
    for interrupted in acceptance.interrupted:
        await house.canceller.enforce(interrupted)
    await house.end(await house.job(first.id), Status.CANCELLED)
    assert (await house.claim()).id == acceptance.job.id
    await house.end(await house.job(acceptance.job.id))
    await _retry(house, await house.job(waiting.id))
    for message in await house.rows("SELECT id FROM messages"):
        await _way_up(house, message["id"])


async def test_a_turn_of_a_deleted_conversation_is_not_retried(house: House) -> None:
    job = (await house.end(await house.claimed(), Status.FAILED)).job
    async with AsyncSession(house.engine) as session, session.begin():
        assert job.conversation_id is not None
        conversation = await conversations.get(session, house.ada, job.conversation_id, lock=True)
        await conversations.delete(session, conversation)
    with pytest.raises(ConversationNotFoundError, match="deleted"):
        await _retry(house, job)
    assert (await house.job(job.id)).phase is Phase.ENDED
    assert house.wakeups.woken == []


async def test_a_delete_during_a_retry_is_waited_for(house: House) -> None:
    """Who deletes marks the turns that have not ended: one that is retried meanwhile must not be missed."""
    job = (await house.end(await house.claimed(), Status.FAILED)).job
    assert job.conversation_id is not None
    async with AsyncSession(house.engine) as session:
        conversation = await conversations.get(session, house.ada, job.conversation_id, lock=True)
        assert await conversations.delete(session, conversation) == []
        retrying = asyncio.create_task(_retry(house, job))
        async with asyncio.timeout(10):
            while not (
                await house.row(
                    "SELECT count(*) AS n FROM pg_stat_activity "
                    "WHERE wait_event_type = 'Lock' AND datname = current_database()"
                )
            )["n"]:
                await asyncio.sleep(0.01)
        await session.commit()
    with pytest.raises(ConversationNotFoundError):
        await retrying


# What reads a branch ----------------------------------------------------------------------------------------


@pytest.fixture(params=["visible", "hidden"])
async def circle(house: House, request: pytest.FixtureRequest) -> Job:
    """The newest turn of a conversation whose messages are a circle, as nothing makes it any more."""
    first = await _answered(house)
    second = await _answered(house, conversation_id=first.conversation_id)
    await house.do(
        "UPDATE messages SET parent_id = :leaf WHERE id = :root",
        leaf=second.message_id,
        root=first.user_message_id,
    )
    if request.param == "hidden":
        await house.do("UPDATE messages SET hidden_at = now()")
    return second


async def test_a_page_of_messages_ends(house: House, circle: Job) -> None:
    async with asyncio.timeout(20), AsyncSession(house.engine) as session:
        assert circle.conversation_id is not None
        conversation = await conversations.get(session, house.ada, circle.conversation_id)
        await conversations.branch_page(session, conversation, limit=50)
        await conversations.tree_page(session, conversation, limit=50)
        message = await session.get_one(Message, circle.message_id)
        await conversations.visible_parents(session, [message])


async def test_what_a_turn_brings_along_ends(house: House, circle: Job) -> None:
    await house.accepted(conversation_id=circle.conversation_id)
    async with asyncio.timeout(20):
        job = await house.store.claim(JobKind.CHAT, WORKER, brought_along(house.settings))
    assert job is not None
    assert job.brought is not None


async def test_what_scripts_read_ends(house: House, circle: Job) -> None:
    reader = TurnReader(
        house.engine,
        owner_id=house.ada,
        conversation_id=circle.conversation_id,
        persona_id=None,
        leaf=circle.message_id,
        target=None,
        model=None,
    )
    async with asyncio.timeout(20):
        await reader.count()
