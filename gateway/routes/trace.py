"""Traces of turns."""

from __future__ import annotations

import uuid

import orjson
from fastapi import Response

from gateway.dependencies import CallerOf, State
from gateway.routing import make_router
from shared.database.repositories import traces
from shared.schemas.trace import TurnTrace

router = make_router("/chat", "chat")


@router.get("/trace/{session_id}", response_model=TurnTrace)
async def get_trace(session_id: uuid.UUID, caller: CallerOf, state: State) -> Response:
    """How a turn went, stage by stage: the prompt before and after, and what each module did.

    It is there from the answer on; the stages after the answer are added as they end.
    """
    await state.jobs.store.owned(session_id, caller.user_id)
    async with state.sessions() as session:
        trace = await traces.get(session, caller.user_id, session_id)
    return Response(orjson.dumps(trace), media_type="application/json")
