"""``POST /v1/chat/completions``."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from fastapi import Request, Response

from gateway.dependencies import CallerOf, OnceOf, State
from gateway.openai.completion import Completion
from gateway.openai.failures import CompletionCancelledError, CompletionFailedError
from gateway.openai.models import OffersOf
from gateway.openai.names import Names
from gateway.openai.stream import CompletionStream
from gateway.routing import make_router
from gateway.streaming.hang_up import HungUpError, unless_hung_up
from gateway.streaming.sse import EventStream
from gateway.turns import OpenTurn, TurnFailedError, check_answerable, once, provider_payload
from shared.errors import UnsupportedControlError
from shared.jobs.new_turn import Basis, NewTurn
from shared.schemas.chat import TurnOptions
from shared.schemas.openai import FIELD_OF_CONTROL, ChatCompletionRequest

router = make_router("/chat", "openai")


@router.post("/completions", response_class=Response)
async def create_completion(
    http: Request,
    request: ChatCompletionRequest,
    state: State,
    caller: CallerOf,
    only_once: OnceOf,
    offers: OffersOf,
) -> Response:
    """A completion, as OpenAI's API answers it: whole, or with ``stream`` in chunks."""
    controls = request.controls()
    named = await Names(state, offers, caller.user_id).find(request.model)
    options = TurnOptions(
        connection_id=None if named.connection is None else named.connection.id,
        model=named.model,
        chat_controls=controls,
        on_disconnect="cancel",
    )
    payload, _ = provider_payload(state, caller, options)
    messages = [message.stored() for message in request.messages]
    new = NewTurn(
        owner_id=caller.user_id,
        keeps_conversation=bool(request.store),
        persona_id=None if named.persona is None else named.persona.id,
        connection_id=options.connection_id,
        model=options.model,
        on_disconnect="cancel",
        payload={**payload, "messages": messages},
        once=once(only_once, only_once.route),
        history=tuple(messages) if request.store else (),
    )
    turn = await OpenTurn.accept(state, caller, new, _check(options))
    completion = Completion.of(turn.job, request.model, include_usage=request.include_usage)
    headers = _headers(turn, request)
    if request.stream:
        return await _stream(http, turn, completion, headers, state.settings.sse_keepalive)
    return await _whole(http, turn, completion, headers)


async def _whole(http: Request, turn: OpenTurn, completion: Completion, headers: dict[str, str]) -> Response:
    hung_up = False
    try:
        answer = await unless_hung_up(http, turn.answer())
    except TurnFailedError as error:
        raise CompletionFailedError.of(error) from error
    except HungUpError:
        hung_up = True
        raise
    finally:
        await turn.close(hung_up=hung_up)
    if answer.metadata.get("finish_reason") == "cancelled":
        raise CompletionCancelledError
    return Response(completion.whole(answer), media_type="application/json", headers=headers)


async def _stream(
    http: Request, turn: OpenTurn, completion: Completion, headers: dict[str, str], keepalive: float
) -> Response:
    stream = CompletionStream(turn, completion)
    try:
        await unless_hung_up(http, stream.begin(keepalive))
    except BaseException as error:
        await stream.close(hung_up=isinstance(error, HungUpError))
        raise
    return EventStream(
        stream.batches(),
        stream.close,
        keepalive,
        encode=stream.encode,
        before=stream.opening,
        after=stream.rest,
        headers=headers,
    )


def _check(options: TurnOptions) -> Callable[[Basis], None]:
    """The check that the turn can be answered, told in OpenAI's names."""
    check = check_answerable(options)

    def checked(basis: Basis) -> None:
        try:
            check(basis)
        except UnsupportedControlError as error:
            control = error.errors[0]["field"].removeprefix("chat_controls.")
            field = FIELD_OF_CONTROL.get(control, control)
            raise UnsupportedControlError(
                f"The provider of this model has no parameter {field!r}; leave it out, or choose another.",
                errors=[{"field": field, "message": "is not supported by the provider of this model"}],
            ) from error

    return checked


def _headers(turn: OpenTurn, request: ChatCompletionRequest) -> dict[str, str]:
    headers = {"X-Session-ID": str(turn.job.id)}
    conversation: uuid.UUID | None = turn.job.conversation_id
    if conversation is not None:
        headers["X-Conversation-ID"] = str(conversation)
    if ignored := request.ignored():
        headers["Warning"] = f'299 parley "ignored: {", ".join(ignored)}"'
    return headers
