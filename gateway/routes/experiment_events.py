"""The events of an experiment."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Header, Query, Response

from gateway.dependencies import CallerOf, State
from gateway.experiments.following import event_stream
from gateway.routes.experiments import found
from gateway.routing import make_router
from gateway.streaming.sse import EventStream
from shared.schemas.events import EventId

router = make_router("/experiments", "experiments")


@router.get("/{experiment_id}/events", response_class=EventStream)
async def events(
    experiment_id: uuid.UUID,
    state: State,
    caller: CallerOf,
    last_event_id: Annotated[str | None, Header()] = None,
    starting_after: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """The events of a run, complete however late: from the start, or after the last one that the client has.

    The stream ends when the run has; one that is resumed goes on behind its last event.
    """
    row, job = await found(state, caller, experiment_id)
    given = last_event_id if last_event_id is not None else starting_after
    cursor = None if given is None else EventId.parse(given)
    return await event_stream(state, row.id, job, cursor) or Response(status_code=204)
