"""Postgres fails when the gateway does something that no answer tells of: it is done later, or by others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.auth import Caller
from gateway.state import GatewayState
from gateway.turns import OpenTurn
from shared.jobs.new_turn import NewTurn
from shared.jobs.states import Phase
from shared.jobs.store import JobStore
from shared.settings import Settings
from tests.integration.gateway.conftest import User, client_of, problem, running
from tests.integration.jobs.faults import Faults, faulty_engine
from tests.integration.jobs.house import anything


@asynccontextmanager
async def refused_attempts(engine: AsyncEngine, job_id: UUID) -> AsyncIterator[None]:
    """The time in which Postgres takes no attempt at a job."""
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'no (fault of the test)'; END $$"
            )
        )
        await connection.execute(
            text(
                "CREATE TRIGGER refuse BEFORE INSERT ON attempts FOR EACH ROW "
                f"WHEN (NEW.job_id = '{job_id}') EXECUTE FUNCTION refuse()"
            )
        )
    try:
        yield
    finally:
        async with engine.begin() as connection:
            await connection.execute(text("DROP FUNCTION refuse() CASCADE"))


async def test_an_interrupt_is_accepted_although_it_cannot_be_carried_out(
    ada: User, state: GatewayState
) -> None:
    """What it interrupts is marked: the sweep ends it. The client must not believe that it failed."""
    caller = Caller(
        user_id=UUID(ada.id),
        name="ada",
        is_admin=False,
        of_admin=False,
        key_id=uuid4(),
        scopes=frozenset(),
    )

    async def sent(on_busy: str, conversation: UUID | None = None) -> OpenTurn:
        turn = NewTurn(
            owner_id=caller.user_id,
            message="Hello?",
            own_provider=True,
            conversation_id=conversation,
            on_busy=on_busy,
        )
        return await OpenTurn.accept(state, caller, turn, anything)

    store = state.jobs.store
    first = await sent("reject")
    waiting = await sent("enqueue", first.job.conversation_id)
    async with refused_attempts(state.engine, first.job.id):
        new = await sent("interrupt", first.job.conversation_id)
        assert new.job.phase is Phase.WAITING
        # What one of them meets does not keep the others.
        async with asyncio.timeout(10):
            async for batch in waiting.events():
                if any(entry.type == "cancelled" for entry in batch):
                    break
        stays = await store.get(first.job.id)
        assert stays is not None
        assert (stays.phase, stays.cancel_requested_at is None) == (Phase.READY, False)
    for turn in (first, waiting, new):
        await turn.close()


async def test_a_query_that_nobody_takes_up_ends_although_postgres_was_away_at_its_deadline(
    settings: Settings, ada: User
) -> None:
    faults = Faults()
    async with (
        running(settings.model_copy(update={"query_timeout": 0.3})) as app,
        client_of(app, ada.key) as http,
        asyncio.timeout(20),
    ):
        state: GatewayState = app.state.gateway
        engine = faulty_engine(settings.database_url, faults)
        # That of the deadline alone: what the reaper meets is not waited for.
        state.jobs.store = JobStore(engine)
        faults.refusing = True
        asking = asyncio.create_task(http.post("/api/modules/test-script", json={"script": ""}))
        await faults.refused.wait()
        faults.refusing = False
        problem(await asking, 503, "no_worker")
        await engine.dispose()
