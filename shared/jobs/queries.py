"""Short operations as jobs of the ``query`` queue: accepted for an owner, and what came of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from shared import errors
from shared.errors import ParleyError
from shared.jobs import spans
from shared.jobs.accept import insert_job
from shared.jobs.event_data import EXHAUSTED
from shared.jobs.job import Job
from shared.jobs.states import JobKind, Phase
from shared.schemas.queries import QueryOperation


class JobFailedError(ParleyError):
    """A job failed for a reason that has no type of its own here; its code tells which."""

    status = 502
    title = "The job failed"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        # The code of this one failure, over that of the class.
        self.__dict__.update(code=code)


class JobCancelledError(ParleyError):
    """Somebody cancelled the job before it had a result."""

    code = "job_cancelled"
    status = 409
    title = "The job was cancelled"


@spans.accepting("query")
async def accept_query(
    engine: AsyncEngine,
    job_id: uuid.UUID,
    owner_id: uuid.UUID,
    operation: QueryOperation,
    **arguments: Any,
) -> Job:
    """Commit a query; the caller has checked that what it names belongs to the owner.

    Args:
        engine: Postgres.
        job_id: the id that the job gets, so that its events can be listened to before it is there.
        owner_id: who asks.
        operation: what to do.
        arguments: what it needs (``connection_id``, ``model``), as JSON.
    """
    async with engine.begin() as connection:
        job = await insert_job(
            connection,
            id=job_id,
            kind=JobKind.QUERY,
            owner_id=owner_id,
            phase=Phase.READY,
            on_disconnect="cancel",
            payload={"operation": operation.value, **arguments},
        )
    spans.accepted(job)
    return job


def stored_error(error: dict[str, Any] | None) -> ParleyError:
    """The error of a failed job, ``{code, message}``, as the type that its worker raised."""
    told = error or EXHAUSTED
    known = _BY_CODE.get(told["code"])
    return JobFailedError(told["code"], told["message"]) if known is None else known(told["message"])


def _types(base: type[ParleyError]) -> Iterator[type[ParleyError]]:
    for kind in base.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from _types(kind)


#: Of those that share a code, the one that the others are kinds of: it comes last here, and counts.
_BY_CODE = {kind.code: kind for kind in reversed(list(_types(ParleyError)))}
