"""Accepted = committed: idempotency record, user message and job in one transaction, or nothing."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from shared.database import direct
from shared.database.direct import Connection
from shared.database.engine import create_engine
from shared.errors import (
    ConnectionNotFoundError,
    ConversationNotFoundError,
    IdempotencyKeyReusedError,
    MessageNotFoundError,
    PersonaNotFoundError,
    ValidationError,
)
from shared.jobs.accept import accept_turn, remember
from shared.jobs.new_turn import Basis
from shared.jobs.states import Phase, Status
from tests.integration.jobs.house import House

COUNTS = (
    "SELECT (SELECT count(*) FROM jobs) AS jobs, (SELECT count(*) FROM messages) AS messages, "
    "(SELECT count(*) FROM conversations) AS conversations, "
    "(SELECT count(*) FROM idempotency_keys) AS keys"
)


async def test_a_turn_is_a_conversation_a_message_and_a_job(house: House) -> None:
    job = await house.accepted(message="  Why is the\n sky blue? ", once=house.once())
    assert (job.phase, job.status, job.attempt) == (Phase.READY, Status.QUEUED, 0)
    conversation = await house.row("SELECT * FROM conversations")
    message = await house.row("SELECT * FROM messages")
    assert conversation["title"] == "Why is the sky blue?"
    assert conversation["active_message_id"] == message["id"] == job.user_message_id
    assert (message["role"], message["content"], message["job_id"]) == (
        "user",
        "  Why is the\n sky blue? ",
        job.id,
    )
    assert (await house.row("SELECT job_id FROM idempotency_keys"))["job_id"] == job.id


async def _migrate(house: House, change: str) -> None:
    """As another process does it: the driver forgets what it prepared when it changes a table itself."""
    other = create_engine(house.engine.url.render_as_string(hide_password=False), pool_size=1)
    async with other.begin() as connection:
        await connection.execute(text(f"ALTER TABLE jobs {change}"))
    await other.dispose()


async def test_a_migration_under_the_gateway_costs_no_request(house: House) -> None:
    first = await house.accept(once=house.once())
    await _migrate(house, "ADD COLUMN of_a_later_version text")
    try:
        # Once with statements that are prepared for the older table, and as if nothing had been.
        again = await house.accept(once=house.once())
        assert (again.joined, again.job.id) == (True, first.job.id)
        assert not (await house.accept()).joined
    finally:
        await _migrate(house, "DROP COLUMN of_a_later_version")
    assert not (await house.accept()).joined
    assert (await house.row(COUNTS))["jobs"] == 3


async def test_the_same_key_and_body_join_the_job(house: House) -> None:
    first = await house.accept(once=house.once())
    again = await house.accept(once=house.once())
    assert (first.joined, again.joined) == (False, True)
    assert again.job.id == first.job.id
    assert await house.row(COUNTS) == {"jobs": 1, "messages": 1, "conversations": 1, "keys": 1}


async def test_requests_with_one_key_at_the_same_time_make_one_job(house: House) -> None:
    accepted = await asyncio.gather(*(house.accept(once=house.once()) for _ in range(5)))
    assert len({one.job.id for one in accepted}) == 1
    assert sorted(one.joined for one in accepted) == [False, True, True, True, True]
    assert await house.row(COUNTS) == {"jobs": 1, "messages": 1, "conversations": 1, "keys": 1}


@pytest.mark.parametrize(("gone", "after"), [("idempotency_keys", 1), ("jobs", 2)])
async def test_a_key_that_expires_while_it_is_looked_up_is_new(house: House, gone: str, after: int) -> None:
    """Its record, or its job too, goes in between: the request makes its own, so that a repeat joins it."""
    await house.accept(once=house.once())
    asked = 0

    class Expiring:
        """A connection that asks as the other one does, while the sweep is at work."""

        def __init__(self, connection: Connection) -> None:
            self._connection = connection

        async def execute(self, statement: Any, parameters: Any = None, /) -> Any:
            nonlocal asked
            found = await self._connection.execute(statement, parameters)
            asked += 1
            if asked == after:
                await house.do(f"DELETE FROM {gone}")
            return found

    async with direct.begin(house.engine) as connection:
        assert await remember(Expiring(connection), house.ada, house.once()) is None
    assert (await house.row(COUNTS))["keys"] == 1


async def test_a_joined_job_is_read_as_it_stands_now(house: House) -> None:
    await house.accept(once=house.once())
    running = await house.claim()
    await house.end(running)
    assert (await house.accept(once=house.once())).job.status is Status.SUCCEEDED


async def test_the_same_key_with_another_body_is_refused(house: House) -> None:
    await house.accept(once=house.once(body=b"one"))
    with pytest.raises(IdempotencyKeyReusedError, match="new key"):
        await house.accept(once=house.once(body=b"other"))
    assert (await house.row(COUNTS))["jobs"] == 1


async def test_keys_belong_to_their_owner(house: House) -> None:
    eve = await house.owner()
    mine = await house.accepted(once=house.once())
    hers = await house.accepted(once=house.once(), owner_id=eve)
    assert mine.id != hers.id


@pytest.mark.parametrize("what", ["conversation_id", "persona_id", "connection_id", "parent_message_id"])
async def test_an_accept_that_fails_leaves_nothing_not_even_its_key(house: House, what: str) -> None:
    conversation = (await house.claimed()).conversation_id
    await house.end(await house.job((await house.row("SELECT id FROM jobs"))["id"]))
    before = await house.row(COUNTS)
    errors = {
        "conversation_id": ConversationNotFoundError,
        "persona_id": PersonaNotFoundError,
        "connection_id": ConnectionNotFoundError,
        "parent_message_id": MessageNotFoundError,
    }
    given = {"conversation_id": conversation, what: uuid4(), "own_provider": False}
    if what in ("parent_message_id", "persona_id"):
        given["own_provider"] = True
    with pytest.raises(errors[what]):
        await house.accept(once=house.once(), **given)
    assert await house.row(COUNTS) == before
    # The key is free: the corrected request is a new one.
    assert not (await house.accept(once=house.once(body=b"corrected"))).joined


async def test_what_the_check_refuses_leaves_nothing(house: House) -> None:
    def refuse(_: Basis) -> None:
        raise ValidationError("no")

    with pytest.raises(ValidationError):
        await accept_turn(house.engine, house.turn(once=house.once()), refuse)
    assert await house.row(COUNTS) == {"jobs": 0, "messages": 0, "conversations": 0, "keys": 0}


async def test_somebody_elses_conversation_is_not_there(house: House) -> None:
    mine = await house.accepted()
    eve = await house.owner()
    with pytest.raises(ConversationNotFoundError):
        await house.accept(owner_id=eve, conversation_id=mine.conversation_id)


async def test_without_a_connection_nothing_is_accepted(house: House) -> None:
    with pytest.raises(ConnectionNotFoundError, match="create one"):
        await house.accept(own_provider=False)


async def test_the_next_turn_stands_on_the_answer_before_it(house: House) -> None:
    first = await house.claimed()
    answered = await house.end(first)
    second = await house.accepted(conversation_id=first.conversation_id, message="And at night?")
    parents = {row["id"]: row["parent_id"] for row in await house.messages(second.conversation_id or uuid4())}
    assert parents[second.user_message_id] == answered.message_id
    assert parents[answered.message_id] == first.user_message_id


async def test_answering_again_needs_no_new_message(house: House) -> None:
    first = await house.claimed()
    answered = await house.end(first)
    again = await house.accepted(
        conversation_id=first.conversation_id, message=None, answer_to=answered.message_id
    )
    assert again.user_message_id == first.user_message_id
    conversation = await house.row("SELECT * FROM conversations")
    assert conversation["active_message_id"] == first.user_message_id
    second = await house.end(await house.claim())
    messages = await house.messages(first.conversation_id or uuid4())
    assert [row["parent_id"] for row in messages if row["role"] == "assistant"] == [first.user_message_id] * 2
    assert (await house.row("SELECT * FROM conversations"))["active_message_id"] == second.message_id


async def test_two_active_turns_are_against_the_law_of_the_table(house: House) -> None:
    """At most one active turn is a constraint, not a habit of the code."""
    job = await house.accepted()
    for phase in (Phase.READY, Phase.HELD):
        with pytest.raises(IntegrityError, match="ux_jobs_active_turn"):
            await house.queue(house.ada, conversation_id=job.conversation_id, phase=phase)
    await house.queue(house.ada, conversation_id=job.conversation_id, phase=Phase.WAITING)


async def test_a_turn_that_keeps_no_conversation(house: House) -> None:
    job = await house.accepted(
        message=None, keeps_conversation=False, payload={"messages": [{"role": "user", "content": "Hi"}]}
    )
    assert (job.conversation_id, job.user_message_id) == (None, None)
    assert await house.row(COUNTS) == {"jobs": 1, "messages": 0, "conversations": 0, "keys": 0}
    ended = await house.end(await house.claim())
    assert (ended.message_id, (ended.job.outcome or {})["content"]) == (None, "Because.")
