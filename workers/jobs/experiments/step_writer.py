"""One writer of steps per process: while a batch is committed it collects, then commits all that came."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import direct
from shared.jobs import experiment_end
from shared.jobs.experiment_channel import channel
from shared.jobs.job import Job
from shared.jobs.statements import as_json
from workers.jobs.commit import may_be_tried_again
from workers.jobs.experiments.run_steps import Batch, RunIdentity, RunSteps

log = logging.getLogger(__name__)

_SQL = Path(__file__).parent / "sql"
_HOLD = text((_SQL / "hold.sql").read_text())
_WRITE_STEPS = text((_SQL / "write_steps.sql").read_text())
_WRITE_EVENTS = text((_SQL / "write_events.sql").read_text())
_WRITE_STANDING = text((_SQL / "write_standing.sql").read_text())

#: Seconds that what nobody waits for may wait itself: an answer is mostly followed by the next question, and
#: the two are one commit on the way of the run instead of two.
LINGER = 0.02
#: Seconds: the first wait for a Postgres that is away, and the longest.
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0


class StepWriter:
    """Writes the steps and events of every run of the process, all that wait in one transaction.

    It numbers the events of the runs that it writes: a run has one attempt that holds its job, and an attempt
    one process.
    """

    def __init__(self, engine: AsyncEngine, redis: Redis, namespace: str) -> None:
        self._engine = engine
        self._redis = redis
        self._namespace = namespace
        #: In the order in which they came to have something, for fairness and for the same order of locks.
        self._waiting: dict[RunSteps, None] = {}
        self._something = asyncio.Event()
        #: Somebody waits for what is to be written.
        self._urgent = asyncio.Event()
        self._announcing: set[asyncio.Task[None]] = set()

    def open(
        self,
        identity: RunIdentity,
        *,
        told: set[str],
        on_fenced: Callable[[], None],
        cost: Callable[[], float | None],
    ) -> RunSteps:
        """The steps of an attempt; see :class:`RunSteps`."""
        return RunSteps(identity, told=told, changed=self._changed, on_fenced=on_fenced, cost=cost)

    async def run(self) -> None:
        """Write, for as long as the process lives."""
        while True:
            await self._something.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER):
                    await self._urgent.wait()
            self._something.clear()
            self._urgent.clear()
            batches = [run.take() for run in self._waiting]
            self._waiting.clear()
            await self._write(batches)

    def announce(self, job: Job, number: int) -> None:
        """Wake who follows a run that has ended, its last event being ``number``; nobody waits for it."""
        task = asyncio.ensure_future(experiment_end.tell(self._redis, self._namespace, job, number))
        self._announcing.add(task)
        task.add_done_callback(self._announcing.discard)

    def _changed(self, run: RunSteps, urgent: bool) -> None:
        self._waiting[run] = None
        self._something.set()
        if urgent:
            self._urgent.set()

    async def _write(self, batches: Sequence[Batch]) -> None:
        """Write until it is written; what Postgres refuses is refused to its own run only."""
        pause = FIRST_PAUSE
        while True:
            try:
                numbers = await self._commit(batches)
                break
            except (DBAPIError, PoolTimeoutError, OSError) as error:
                if isinstance(error, DBAPIError) and not may_be_tried_again(error):
                    if len(batches) > 1:
                        for batch in batches:
                            await self._write([batch])
                    else:
                        batches[0].settle(batches[0].run.fail(error))
                    return
                log.warning("steps wait for Postgres", extra={"error": type(error).__name__})
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        await self._tell(numbers)

    async def _commit(self, batches: Sequence[Batch]) -> dict[UUID, int]:
        """Write in one transaction; returns the last event number of every run that told something."""
        runs = [batch.run.identity.columns for batch in batches]
        steps = [row for batch in batches for row in batch.steps.values()]
        events = [row for batch in batches for row in batch.events]
        standings = [batch.standing for batch in batches if batch.standing is not None]
        async with direct.begin(self._engine) as connection:
            holding = connection.later(_HOLD, {"runs": as_json(runs)})
            if steps:
                connection.later(_WRITE_STEPS, {"steps": as_json(steps)})
            told = connection.later(_WRITE_EVENTS, {"events": as_json(events)}) if events else None
            if standings:
                connection.later(_WRITE_STANDING, {"standings": as_json(standings)})
        held = {job_id for (job_id,) in holding.rows}
        for batch in batches:
            batch.settle(None if batch.run.identity.job_id in held else batch.run.lose())
        numbers: dict[UUID, int] = {}
        for experiment_id, number in told.rows if told is not None else ():
            numbers[experiment_id] = max(number, numbers.get(experiment_id, 0))
        return numbers

    async def _tell(self, numbers: dict[UUID, int]) -> None:
        """Wake whoever follows; they look by themselves, too."""
        if not numbers:
            return
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for experiment_id, number in numbers.items():
                    pipeline.publish(channel(self._namespace, experiment_id), number)
                await pipeline.execute()
        except (RedisError, OSError):
            log.debug("followers of experiments were not told")
