"""The trace of a turn, for its owner."""

from __future__ import annotations

import uuid

from gateway.state import GatewayState
from shared.database import direct
from shared.database.models import Job
from shared.database.repositories import traces
from shared.schemas.trace import StageTrace, TurnTrace
from tests.integration.gateway.conftest import User, problem


async def turn(user: User, state: GatewayState) -> uuid.UUID:
    async with state.sessions.begin() as session:
        job = Job(
            kind="chat", owner_id=uuid.UUID(user.id), phase="ended", status="succeeded", payload={}, attempt=2
        )
        session.add(job)
    return job.id


async def put(state: GatewayState, user: User, trace: TurnTrace) -> None:
    async with direct.begin(state.engine) as connection:
        await traces.put(
            connection,
            trace.model_dump(mode="json"),
            job_id=uuid.UUID(trace.session_id),
            owner_id=uuid.UUID(user.id),
            attempt=trace.attempt,
        )


async def test_a_trace_comes_back_whole_and_the_newest_attempt_counts(
    ada: User, eve: User, state: GatewayState
) -> None:
    job_id = await turn(ada, state)
    path = f"/api/chat/trace/{job_id}"
    problem(await ada.http.get(path), 404, "trace_not_found")
    first = TurnTrace(session_id=str(job_id), attempt=2, token_estimate=7)
    await put(state, ada, first)
    assert (await ada.http.get(path)).json() == first.model_dump(mode="json")
    whole = first.model_copy(
        update={
            "stages": [
                StageTrace(stage=1, label="thinking_before", prompt_before="\x00@a", prompt_after="ä")
            ],
            "request": {"messages": [{"role": "system", "content": "ä"}]},
            "post_response": "done",
        }
    )
    await put(state, ada, whole)
    told = (await ada.http.get(path)).json()
    # Postgres keeps no NUL; all else is as it was.
    whole.stages[0].prompt_before = "@a"
    assert told == whole.model_dump(mode="json")
    await put(state, ada, first.model_copy(update={"attempt": 1}))
    assert (await ada.http.get(path)).json() == told
    problem(await eve.http.get(path), 404, "session_not_found")
    problem(await ada.http.get(f"/api/chat/trace/{uuid.uuid4()}"), 404, "session_not_found")
