"""Answering a message again."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Header, Request, Response

from gateway.dependencies import CallerOf, OnceOf, State
from gateway.routes.chat import Prefer, event_stream, reply
from gateway.routing import make_router
from gateway.turns import OpenTurn, check_answerable, once, provider_payload
from shared.jobs.new_turn import NewTurn
from shared.schemas.chat import Accepted, Answer, TurnOptions

router = make_router("/conversations", "chat")


@router.post(
    "/{conversation_id}/messages/{message_id}/regenerate",
    response_model=Answer,
    responses={202: {"model": Accepted}},
)
async def regenerate(
    conversation_id: uuid.UUID,
    message_id: uuid.UUID,
    http: Request,
    state: State,
    caller: CallerOf,
    only_once: OnceOf,
    request: TurnOptions | None = None,
    prefer: Prefer = None,
    accept: Annotated[str | None, Header()] = None,
) -> Response:
    """A new turn that answers the same message on a new branch; the old answer stays.

    ``message_id`` is the message to answer, or an answer to it. Streams its events when the client accepts
    ``text/event-stream``, else answers as ``POST /api/chat/send`` does.
    """
    options = request or TurnOptions()
    payload, secret = provider_payload(state, caller, options)
    new = NewTurn(
        owner_id=caller.user_id,
        answer_to=message_id,
        conversation_id=conversation_id,
        connection_id=options.connection_id,
        model=options.model,
        own_provider=options.provider is not None,
        on_busy=options.on_busy,
        on_disconnect=options.on_disconnect,
        payload=payload,
        secret=secret,
        once=once(only_once, only_once.route),
    )
    turn = await OpenTurn.accept(state, caller, new, check_answerable(options))
    if accept is not None and "text/event-stream" in accept:
        return await event_stream(state, turn)
    return await reply(http, turn, prefer)
