"""What is asked of a connection's provider: whether it answers, which models it has, to fetch one."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import Request, Response

from gateway.dependencies import CallerOf, State
from gateway.queries import OpenQuery, ask, shown
from gateway.routing import make_router
from gateway.state import GatewayState
from gateway.streaming.hang_up import HungUpError, unless_hung_up
from gateway.streaming.sse import EventStream
from shared.database.models import Connection
from shared.database.repositories import connections
from shared.errors import ValidationError
from shared.schemas.controls import ProviderType
from shared.schemas.page import Page
from shared.schemas.queries import ConnectionTested, ModelPull, ProviderModel, QueryOperation

router = make_router("/connections", "connections")


@router.post("/{connection_id}/test", response_model_exclude_none=True)
async def test_connection(
    connection_id: uuid.UUID, http: Request, caller: CallerOf, state: State
) -> ConnectionTested:
    """Whether the provider can be reached, takes the key, and has the connection's model; else the problem.

    ``response_time`` is in seconds.
    """
    connection = await _owned(state, caller, connection_id)
    result = await _ask(http, state, connection, QueryOperation.TEST_CONNECTION)
    return ConnectionTested(status="connected", **result)


@router.get("/{connection_id}/models")
async def list_models(
    connection_id: uuid.UUID, http: Request, caller: CallerOf, state: State
) -> Page[ProviderModel]:
    """The models that the provider offers now; ``size`` in bytes and ``context_length`` in tokens where it
    says so. The list has one page.
    """
    connection = await _owned(state, caller, connection_id)
    result = await _ask(http, state, connection, QueryOperation.LIST_MODELS)
    items = [ProviderModel.model_validate(model) for model in result["models"]]
    return Page(items=items, next_cursor=None)


@router.post("/{connection_id}/models/pull", response_class=EventStream)
async def pull_model(
    connection_id: uuid.UUID, http: Request, caller: CallerOf, state: State, body: ModelPull
) -> Response:
    """Have an Ollama server fetch a model: ``progress`` events {status, total, completed}, then ``done``.

    Closing the stream cancels it; what was fetched stays with the server, which goes on from there.
    """
    connection = await _owned(state, caller, connection_id)
    if connection.provider != ProviderType.OLLAMA:
        raise ValidationError(
            f"only an Ollama server fetches models; this connection's provider is {connection.provider}",
            errors=[{"field": "connection_id", "message": "is not a connection to Ollama"}],
        )
    query = await OpenQuery.accept(
        state,
        caller.user_id,
        QueryOperation.PULL_MODEL,
        connection_id=str(connection.id),
        model=body.model,
    )
    try:
        await unless_hung_up(http, query.begun())
    except BaseException as error:
        await query.close(hung_up=isinstance(error, HungUpError))
        raise
    return EventStream(
        query.events(),
        query.close,
        state.settings.sse_keepalive,
        encode=shown,
        headers={"X-Session-ID": str(query.job.id)},
    )


async def _owned(state: GatewayState, caller: CallerOf, connection_id: uuid.UUID) -> Connection:
    async with state.sessions() as session:
        return await connections.get(session, caller.user_id, connection_id)


async def _ask(
    http: Request, state: GatewayState, connection: Connection, operation: QueryOperation
) -> dict[str, Any]:
    return await ask(http, state, connection.owner_id, operation, connection_id=str(connection.id))
