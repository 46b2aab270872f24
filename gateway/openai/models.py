"""``/v1/models``: the caller's personas, and the models of its connections."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Depends
from pydantic import BaseModel

from gateway.dependencies import CallerOf, State
from gateway.openai.names import PERSONA, Named, Names
from gateway.openai.offers import Offers, get_offers
from gateway.routing import make_router
from shared.database.repositories import connections, personas
from shared.schemas.page import MAX_LIMIT

router = make_router("/models", "openai")

OffersOf = Annotated[Offers, Depends(get_offers)]


class Model(BaseModel):
    """A model as OpenAI lists it; ``created`` in Unix seconds."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class Models(BaseModel):
    """A list of models."""

    object: Literal["list"] = "list"
    data: list[Model]


@router.get("")
async def list_models(state: State, caller: CallerOf, offers: OffersOf) -> Models:
    """The caller's personas (``persona:<name>``), and the models of its connections
    (``<connection>/<model>``): each one's own, and those that its provider lists within two seconds.
    """
    async with state.sessions() as session:
        own_personas = await personas.list_(session, caller.user_id, limit=MAX_LIMIT, active_only=True)
        own_connections = await connections.list_(session, caller.user_id, limit=MAX_LIMIT)
    offered = await offers.models(own_connections)
    found = [(f"{PERSONA}{persona.name}", Named(persona, None, None)) for persona in own_personas] + [
        (f"{connection.name}/{model}", Named(None, connection, model))
        for connection in own_connections
        for model in offered[connection.id]
    ]
    return Models(data=[_shown(name, named) for name, named in found])


@router.get("/{model_id:path}")
async def get_model(model_id: str, state: State, caller: CallerOf, offers: OffersOf) -> Model:
    """One of them, by its id."""
    return _shown(model_id, await Names(state, offers, caller.user_id).find(model_id, listed=True))


def _shown(name: str, named: Named) -> Model:
    return Model(id=name, created=int(named.since.timestamp()), owned_by=named.owner)
