"""Following a run: its events from Postgres, as they are committed."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import orjson
from sqlalchemy.exc import SQLAlchemyError

from gateway.state import GatewayState
from gateway.streaming.hub import Inbox
from gateway.streaming.sse import EventStream
from shared.database.repositories import experiment_events
from shared.database.repositories.experiment_events import StoredEvent
from shared.errors import InvalidEventIdError
from shared.jobs.event_log import Entry
from shared.jobs.experiment_channel import channel as experiment_channel
from shared.jobs.job import Job
from shared.jobs.states import Phase
from shared.schemas.events import EventId

log = logging.getLogger(__name__)

#: Seconds after which a follower looks for itself, whatever it was told.
LOOK_EVERY = 2.0
#: Seconds that Redis gets to confirm the subscription before the first look.
CONFIRM_TIMEOUT = 0.5
#: Seconds until Postgres is asked again after a failure.
AGAIN = 0.5
#: Events that are read at once.
BATCH = 500


async def event_stream(
    state: GatewayState, experiment_id: uuid.UUID, job: Job, cursor: EventId | None
) -> EventStream | None:
    """The events of a run after ``cursor``; ``None`` when the client has all of them and no more will come.

    Raises:
        InvalidEventIdError: no event of this run has that id.
    """
    if cursor is not None:
        last = await experiment_events.last_number(state.engine, experiment_id)
        if cursor.attempt > job.attempt or not 1 <= cursor.seq <= last:
            raise InvalidEventIdError(
                f"This run has no event {cursor}; send the id of the last event received, or leave it out to "
                "start from the beginning."
            )
        if job.ended and cursor.seq == last:
            return None
    before = b""
    if cursor is None and job.phase is Phase.READY and job.attempt == 0:
        position = await state.jobs.store.queue_position(job.id)
        data = orjson.dumps({"position": position, **_ids(experiment_id, job)})
        before = b"event: queued\ndata: %b\n\n" % data
    stack = AsyncExitStack()
    channel = experiment_channel(state.settings.namespace, experiment_id)
    inbox = await stack.enter_async_context(state.jobs.hub.listen(channel))

    async def close(*, hung_up: bool = False) -> None:
        # A run goes on, whoever looks.
        await stack.aclose()

    return EventStream(
        follow(state, experiment_id, job, inbox, 0 if cursor is None else cursor.seq),
        close,
        state.settings.sse_keepalive,
        before=before,
        headers={"X-Session-ID": str(job.id)},
    )


async def follow(
    state: GatewayState, experiment_id: uuid.UUID, job: Job, inbox: Inbox, number: int
) -> AsyncIterator[list[Entry]]:
    """The events behind ``number``, in batches as they were committed, until the run has ended and all of
    them were told; an empty batch is a sign of life.
    """
    ids = _ids(experiment_id, job)
    listening = False
    while not inbox.closed:
        try:
            news = await experiment_events.after(state.engine, experiment_id, number, limit=BATCH)
        except (SQLAlchemyError, OSError) as error:
            # A client is not sent away over it: its stream waits, and goes on.
            log.warning("a stream waits for Postgres", extra={"error": type(error).__name__})
            await asyncio.sleep(AGAIN)
            yield []
            continue
        if news.events:
            number = news.events[-1].number
            yield [_entry(event, ids) for event in news.events]
            if len(news.events) == BATCH:
                continue
        else:
            yield []
        if news.ended:
            return
        if not listening:
            # What was told before the subscription stood is looked for once more.
            listening = True
            await state.jobs.hub.heard(
                experiment_channel(state.settings.namespace, experiment_id), CONFIRM_TIMEOUT
            )
            continue
        await inbox.take(LOOK_EVERY)


def _ids(experiment_id: uuid.UUID, job: Job) -> dict[str, str]:
    return {"experiment_id": str(experiment_id), "session_id": str(job.id)}


def _entry(event: StoredEvent, ids: dict[str, Any]) -> Entry:
    return Entry(EventId(event.attempt, event.number), event.type, orjson.dumps({**event.data, **ids}))
