"""Which models a connection offers: its own, and what its provider lists when a worker can say so quickly."""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request

from gateway.queries import OpenQuery
from gateway.state import GatewayState
from shared.database.models import Connection
from shared.errors import ParleyError
from shared.schemas.queries import QueryOperation

#: Seconds that a caller waits for a provider's list, and that a worker has to take the question up.
PATIENCE = 2.0
#: Seconds after which nobody needs the answer any more.
GIVE_UP = 15.0
#: Seconds that a list, or the lack of one, is remembered.
FRESH = 30.0
FRESH_FAILURE = 10.0
#: Connections whose lists are remembered.
REMEMBERED = 1000


@dataclass
class _List:
    """A provider's list, being asked for or remembered."""

    version: datetime
    asking: asyncio.Task[Sequence[str] | None]
    expires: float | None = None


class Offers:
    """The lists of models that a gateway process has asked for lately; one question for each connection."""

    def __init__(self, state: GatewayState) -> None:
        self._state = state
        self._lists: OrderedDict[uuid.UUID, _List] = OrderedDict()

    async def models(self, connections: Sequence[Connection]) -> dict[uuid.UUID, list[str]]:
        """The models of each connection, its own first; waits :data:`PATIENCE` seconds at most for all."""
        asked = {connection.id: self._ask(connection) for connection in connections}
        if asked:
            await asyncio.wait(set(asked.values()), timeout=PATIENCE)
        offered: dict[uuid.UUID, list[str]] = {}
        for connection in connections:
            own = connection.settings.get("model")
            asking = asked[connection.id]
            listed = (asking.result() if asking.done() else None) or ()
            offered[connection.id] = list(dict.fromkeys([*([own] if own else []), *listed]))
        return offered

    def _ask(self, connection: Connection) -> asyncio.Task[Sequence[str] | None]:
        now = asyncio.get_running_loop().time()
        known = self._lists.get(connection.id)
        if (
            known is not None
            and known.version == connection.updated_at
            and (known.expires is None or known.expires > now)
        ):
            return known.asking
        fresh = _List(
            connection.updated_at,
            asyncio.create_task(self._fetch(connection.owner_id, connection.id)),
        )
        self._lists[connection.id] = fresh
        self._lists.move_to_end(connection.id)
        while len(self._lists) > REMEMBERED:
            self._lists.popitem(last=False)

        def remember(asking: asyncio.Task[Sequence[str] | None]) -> None:
            found = not asking.cancelled() and asking.result() is not None
            fresh.expires = asking.get_loop().time() + (FRESH if found else FRESH_FAILURE)

        fresh.asking.add_done_callback(remember)
        return fresh.asking

    async def _fetch(self, owner_id: uuid.UUID, connection_id: uuid.UUID) -> Sequence[str] | None:
        """The provider's list; ``None`` when there is none to be had."""
        try:
            query = await OpenQuery.accept(
                self._state,
                owner_id,
                QueryOperation.LIST_MODELS,
                claim_timeout=PATIENCE,
                connection_id=str(connection_id),
            )
        except Exception:
            return None
        late = True
        try:
            async with asyncio.timeout(GIVE_UP):
                result = await query.result()
            late = False
            return [model["name"] for model in result["models"]]
        except ParleyError:
            late = False
            return None
        except Exception:
            return None
        finally:
            await query.close(hung_up=late)


async def get_offers(request: Request) -> Offers:
    """The lists of this process, for a route."""
    held = request.app.state
    if not hasattr(held, "offers"):
        held.offers = Offers(held.gateway)
    offers: Offers = held.offers
    return offers
