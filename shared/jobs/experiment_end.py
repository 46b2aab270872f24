"""The end of an experiment: written among its events, and told."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.database import direct
from shared.jobs.event_data import EXHAUSTED
from shared.jobs.experiment_channel import channel
from shared.jobs.job import Job
from shared.jobs.statements import as_json, statement
from shared.jobs.states import Status
from shared.schemas.events import EventType

log = logging.getLogger(__name__)

_TELL_END = statement("tell_experiment_end")


def experiment_of(job: Job) -> UUID:
    """The experiment that a job runs."""
    return UUID(job.payload["experiment_id"])


async def record(
    connection: direct.Connection, job: Job, status: Status, error: dict[str, Any] | None
) -> int | None:
    """Write the last event of a run that is ended as cancelled or failed, in the transaction that ends it.

    Returns:
        Its number, to be told after the commit; ``None`` when this attempt has told its end already.
    """
    cancelled = status is Status.CANCELLED
    event = EventType.CANCELLED if cancelled else EventType.ERROR
    return await write(connection, job, event, {} if cancelled else error or EXHAUSTED)


async def write(
    connection: direct.Connection, job: Job, event: EventType, data: dict[str, Any]
) -> int | None:
    """Write the event that ends a run, in the transaction that ends its job; returns as :func:`record`."""
    parameters = {
        "job_id": job.id,
        "attempt": job.attempt,
        "type": event.value,
        "data": as_json(data),
    }
    row = (await connection.execute(_TELL_END, parameters)).first()
    return None if row is None else int(row.number)


async def tell(redis: Redis, namespace: str, job: Job, number: int) -> None:
    """Wake who follows a run; who misses it looks by itself."""
    try:
        await redis.publish(channel(namespace, experiment_of(job)), number)
    except (RedisError, OSError):
        log.warning("an event could not be told; it is stored", extra={"session_id": str(job.id)})
