"""Turns: sent, streamed, watched, cancelled."""

from __future__ import annotations

import uuid
from typing import Annotated

import orjson
from fastapi import Header, Query, Request, Response

from gateway.dependencies import CallerOf, OnceOf, State
from gateway.experiments.following import event_stream as run_events
from gateway.routing import make_router
from gateway.state import GatewayState
from gateway.streaming.hang_up import HungUpError, unless_hung_up
from gateway.streaming.sse import EventStream
from gateway.turns import OpenTurn, check_answerable, once, provider_payload
from shared.jobs.experiment_end import experiment_of
from shared.jobs.new_turn import NewTurn
from shared.jobs.resume import check_cursor
from shared.jobs.states import JobKind
from shared.schemas.chat import Accepted, ActiveSessions, Answer, Cancelled, SessionStatus, TurnRequest
from shared.schemas.events import EventId

router = make_router("/chat", "chat")

Prefer = Annotated[str | None, Header(description="`respond-async`: answer 202 at once")]


@router.post("/send", response_model=Answer, responses={202: {"model": Accepted}})
async def send(
    http: Request,
    request: TurnRequest,
    state: State,
    caller: CallerOf,
    only_once: OnceOf,
    prefer: Prefer = None,
) -> Response:
    """One turn; answers when the reply is complete."""
    turn = await OpenTurn.accept(
        state, caller, _new_turn(state, caller, request, only_once), check_answerable(request)
    )
    return await reply(http, turn, prefer)


@router.post("/stream", response_class=EventStream)
async def stream(request: TurnRequest, state: State, caller: CallerOf, only_once: OnceOf) -> Response:
    """One turn; answers with its events."""
    turn = await OpenTurn.accept(
        state, caller, _new_turn(state, caller, request, only_once), check_answerable(request)
    )
    return await event_stream(state, turn)


@router.get("/events/{session_id}", response_class=EventStream)
async def events(
    session_id: uuid.UUID,
    state: State,
    caller: CallerOf,
    last_event_id: Annotated[str | None, Header()] = None,
    starting_after: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """The events of a turn: from the start, or after the last one that the client has."""
    job = await state.jobs.store.owned(session_id, caller.user_id)
    given = last_event_id if last_event_id is not None else starting_after
    cursor = None if given is None else EventId.parse(given)
    if job.kind is JobKind.EXPERIMENT:
        return await run_events(state, experiment_of(job), job, cursor) or Response(status_code=204)
    if cursor is not None and not check_cursor(cursor, job):
        return Response(status_code=204)
    turn = await OpenTurn.join(state, caller, job)
    return await event_stream(state, turn, cursor)


@router.post("/cancel/{session_id}", response_model=Cancelled)
async def cancel(session_id: uuid.UUID, state: State, caller: CallerOf) -> Cancelled:
    """Cancel a turn, in whatever stage it is; what was generated is kept. A second cancel changes nothing."""
    cancelled, job = await state.jobs.sessions.cancel_session(session_id, caller.user_id)
    messages = {
        "cancelling": "The turn is being cancelled.",
        "cancelled": "The turn is cancelled.",
        "succeeded": "The answer was complete; what followed it is cancelled."
        if cancelled
        else "The turn had ended before.",
    }
    return Cancelled(
        session_id=session_id,
        cancelled=cancelled,
        status=job.shown_status,
        message=messages.get(job.shown_status, "The turn had ended before."),
    )


@router.get("/status/{session_id}", response_model=SessionStatus)
async def status(session_id: uuid.UUID, state: State, caller: CallerOf) -> SessionStatus:
    """Where a turn stands."""
    return await state.jobs.sessions.get_session_status(session_id, caller.user_id)


@router.get("/sessions/active", response_model=ActiveSessions)
async def active_sessions(state: State, caller: CallerOf) -> ActiveSessions:
    """The caller's jobs that have not ended, newest first (at most 200 of them)."""
    return ActiveSessions(
        active_session_count=await state.jobs.sessions.get_active_session_count(caller.user_id),
        sessions=await state.jobs.sessions.active_sessions(caller.user_id),
    )


async def reply(http: Request, turn: OpenTurn, prefer: str | None) -> Response:
    """The answer of a turn, or, asked for ``respond-async``, where to find it.

    Raises:
        HungUpError: the client went away; a turn that asked for it is cancelled.
    """
    headers = {"X-Session-ID": str(turn.job.id)}
    if prefer is not None and "respond-async" in prefer.lower():
        await turn.close()
        accepted = Accepted(
            session_id=turn.job.id,
            conversation_id=turn.job.conversation_id,
            status_url=f"/api/chat/status/{turn.job.id}",
            events_url=f"/api/chat/events/{turn.job.id}",
        )
        headers |= {"Preference-Applied": "respond-async", "Location": accepted.status_url}
        return _json(202, accepted, headers)
    hung_up = False
    try:
        return _json(200, await unless_hung_up(http, turn.answer()), headers)
    except HungUpError:
        hung_up = True
        raise
    finally:
        await turn.close(hung_up=hung_up)


async def event_stream(state: GatewayState, turn: OpenTurn, cursor: EventId | None = None) -> EventStream:
    """The events of a turn after ``cursor``; one that waits is told its place first."""
    before = b""
    if cursor is None and (position := await turn.position()) is not None:
        data = orjson.dumps({"position": position, "session_id": str(turn.job.id)})
        before = b"event: queued\ndata: %b\n\n" % data
    return EventStream(
        turn.events(cursor),
        turn.close,
        state.settings.sse_keepalive,
        before=before,
        headers={"X-Session-ID": str(turn.job.id)},
    )


def _new_turn(state: GatewayState, caller: CallerOf, request: TurnRequest, only_once: OnceOf) -> NewTurn:
    payload, secret = provider_payload(state, caller, request)
    return NewTurn(
        owner_id=caller.user_id,
        message=request.message,
        conversation_id=request.conversation_id,
        persona_id=request.persona_id,
        connection_id=request.connection_id,
        model=request.model,
        own_provider=request.provider is not None,
        parent_message_id=request.parent_message_id,
        on_busy=request.on_busy,
        on_disconnect=request.on_disconnect,
        payload=payload,
        secret=secret,
        once=once(only_once, "POST /api/chat"),
    )


def _json(status: int, body: Answer | Accepted, headers: dict[str, str]) -> Response:
    return Response(
        body.model_dump_json(), status_code=status, media_type="application/json", headers=headers
    )
