"""Committing an outcome although the connection to Postgres may break."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.jobs.finish import Finished
from shared.jobs.store import AttemptLostError, JobStore
from workers.jobs.running import RunningAttempt

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds: the first wait between two tries, and the longest.
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0


async def commit(
    store: JobStore, attempt: RunningAttempt, work: Callable[[], Awaitable[Finished]]
) -> Finished:
    """Commit an outcome: do ``work`` until it is committed, for as long as the attempt holds the job.

    A commit whose reply was lost is looked up before it is tried again.

    Raises:
        AttemptLostError: another attempt holds the job.
    """
    return await persist(attempt, work, lambda: _committed(store, attempt))


async def persist(
    attempt: RunningAttempt,
    work: Callable[[], Awaitable[T]],
    committed: Callable[[], Awaitable[T | None]] | None = None,
) -> T:
    """Do ``work``, a fenced transaction, until it is committed, for as long as the attempt holds the job.

    Args:
        attempt: whose work it is.
        work: finds out itself, or by ``committed``, what an earlier try whose reply was lost has committed.
        committed: looks that up when the job is not the attempt's any more.

    Raises:
        AttemptLostError: another attempt holds the job.
    """
    pause = FIRST_PAUSE
    tried = False
    while True:
        try:
            try:
                return await work()
            except AttemptLostError:
                # Asked within the outer try: what was committed must not be lost over a second broken reply.
                if tried and committed is not None and (found := await committed()) is not None:
                    return found
                raise
        except (DBAPIError, PoolTimeoutError, OSError) as error:
            if isinstance(error, DBAPIError) and not may_be_tried_again(error):
                raise
            if attempt.fenced:
                raise AttemptLostError(attempt.job.lease) from error
            tried = True
            log.warning("an outcome waits for Postgres", extra={"error": type(error).__name__})
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


def may_be_tried_again(error: DBAPIError) -> bool:
    """Whether Postgres could not be asked, or took back what it had done, rather than refused."""
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    # No state: the driver never got an answer. 08: connection; 40: a deadlock, rolled back; 53: resources;
    # 57: the server is stopping.
    return state is None or state[:2] in {"08", "40", "53", "57"}


async def _committed(store: JobStore, attempt: RunningAttempt) -> Finished | None:
    """What the attempt committed before the reply was lost, if it did."""
    job = await store.get(attempt.job.id)
    if job is None or job.attempt != attempt.job.attempt or not job.ended:
        return None
    return Finished(job)
