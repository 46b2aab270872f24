"""Short operations that need a worker: asked for, and waited for."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError

from gateway.state import GatewayState
from gateway.streaming.follow import AGAIN
from gateway.streaming.hang_up import HungUpError, unless_hung_up
from gateway.streaming.hub import Inbox
from shared.errors import NoWorkerError, ParleyError, ShuttingDownError
from shared.jobs.event_log import Entry
from shared.jobs.job import Job
from shared.jobs.queries import JobCancelledError, accept_query, stored_error
from shared.jobs.states import Phase
from shared.metrics.limits import hit
from shared.schemas.events import EventType
from shared.schemas.queries import QueryOperation

logger = logging.getLogger(__name__)

#: What clients see of a long operation.
_SHOWN = frozenset({EventType.PROGRESS, EventType.DONE, EventType.CANCELLED, EventType.ERROR})


class OpenQuery:
    """A query and this process's place at its events; holds the subscription until it is closed.

    A query that no worker takes up in time is cancelled, so that none does so for nobody.
    """

    def __init__(
        self, state: GatewayState, job: Job, inbox: Inbox, stack: AsyncExitStack, claim_timeout: float
    ) -> None:
        self._state = state
        self.job = job
        self._stack = stack
        self._unclaimed = False
        self._batches: AsyncGenerator[list[Entry], None] = state.jobs.follower.follow(job, inbox)  # type: ignore[assignment]
        self._first: list[Entry] = []
        self._claim_timeout = claim_timeout
        self._deadline = asyncio.create_task(self._give_up_unclaimed())

    @classmethod
    async def accept(
        cls,
        state: GatewayState,
        owner_id: uuid.UUID,
        operation: QueryOperation,
        *,
        claim_timeout: float | None = None,
        **arguments: Any,
    ) -> OpenQuery:
        """Commit a query, wake a worker, and listen to it.

        Args:
            state: of this process.
            owner_id: who asks.
            operation: what to do.
            claim_timeout: seconds that a worker has to take it up (default: the settings' query_timeout).
            arguments: what the operation needs, as JSON.
        """
        if state.stopping.is_set():
            raise ShuttingDownError(headers={"Retry-After": "1"})
        job_id = uuid.uuid4()
        async with AsyncExitStack() as stack:
            inbox = await stack.enter_async_context(state.jobs.hub.watch(job_id))
            job = await accept_query(state.engine, job_id, owner_id, operation, **arguments)
            state.jobs.spawn(state.jobs.wakeups.send(job.kind, job.id))
            timeout = state.settings.query_timeout if claim_timeout is None else claim_timeout
            return cls(state, job, inbox, stack.pop_all(), timeout)

    async def result(self) -> dict[str, Any]:
        """Wait for what came of it.

        Raises:
            NoWorkerError: no worker took it up in time.
            ParleyError: it failed: whatever the worker raised.
        """
        async for batch in self.events():
            for entry in batch:
                if entry.type == EventType.DONE:
                    result: dict[str, Any] = entry.payload()["result"] or {}
                    return result
                self._raise(entry)
        raise ShuttingDownError(headers={"Retry-After": "1"})

    async def begun(self) -> None:
        """Return when a worker has taken it up.

        Raises:
            NoWorkerError: none did in time.
            ParleyError: it failed at once.
        """
        async for batch in self._batches:
            for entry in batch:
                self._raise(entry)
            if batch:
                self._first = batch
                return
        raise ShuttingDownError(headers={"Retry-After": "1"})

    async def events(self) -> AsyncIterator[list[Entry]]:
        """Its events in batches, those that :meth:`begun` saw included."""
        if self._first:
            yield self._first
        async for batch in self._batches:
            yield batch

    async def close(self, *, hung_up: bool = False) -> None:
        """Stop listening; a client that hung up takes no result, so that the query is cancelled."""
        self._deadline.cancel()
        await asyncio.gather(self._deadline, return_exceptions=True)
        await self._batches.aclose()
        await self._stack.aclose()
        if hung_up and not self._state.stopping.is_set():
            self._state.jobs.spawn(self._state.jobs.canceller.cancel(self.job.id))

    def _raise(self, entry: Entry) -> None:
        error: ParleyError
        if entry.type == EventType.ERROR:
            error = stored_error(entry.payload())
        elif entry.type != EventType.CANCELLED:
            return
        elif self._unclaimed:
            error = NoWorkerError(
                f"No worker took this up within {self._claim_timeout:g} s; start one, or try again when "
                "those that run have less to do.",
                headers={"Retry-After": "5"},
            )
        else:
            error = JobCancelledError("It was cancelled before it had a result.")
        raise error

    async def _give_up_unclaimed(self) -> None:
        await asyncio.sleep(self._claim_timeout)
        while True:
            try:
                await self._cancel_unclaimed()
            except (SQLAlchemyError, OSError) as error:
                # Nobody else ends a query that no worker takes up: its client would wait for ever.
                logger.warning(
                    "the deadline of a query waits for Postgres",
                    extra={"session_id": str(self.job.id), "error": type(error).__name__},
                )
                await asyncio.sleep(AGAIN)
            else:
                return

    async def _cancel_unclaimed(self) -> None:
        job = await self._state.jobs.store.get(self.job.id)
        if job is None or job.attempt or job.phase is not Phase.READY:
            return
        if not self._unclaimed:
            self._unclaimed = True
            hit("query_wait")
        await self._state.jobs.canceller.cancel(job.id)


async def ask(
    http: Request, state: GatewayState, owner_id: uuid.UUID, operation: QueryOperation, **arguments: Any
) -> dict[str, Any]:
    """The result of a query, which is cancelled when the client of ``http`` goes away first.

    Raises:
        NoWorkerError: no worker took it up in time.
        ParleyError: it failed: whatever the worker raised.
    """
    query = await OpenQuery.accept(state, owner_id, operation, **arguments)
    hung_up = False
    try:
        return await unless_hung_up(http, query.result())
    except HungUpError:
        hung_up = True
        raise
    finally:
        await query.close(hung_up=hung_up)


def shown(batch: list[Entry]) -> bytes:
    """The events of a long operation as clients get them: its progress and its end."""
    return b"".join([entry.frame() for entry in batch if entry.type in _SHOWN])
