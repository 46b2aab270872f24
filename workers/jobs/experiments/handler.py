"""Experiments as jobs: loaded, run over their recorded steps, and kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from shared.errors import ParleyError
from shared.jobs import experiment_end
from shared.jobs.messages import Reply
from shared.jobs.states import Status
from shared.jobs.store import Along, AttemptLostError, FencedTransaction
from shared.schemas.events import EventType
from shared.schemas.experiment.estimate import expected_calls
from workers.experiment.errors import ReplayDivergedError
from workers.experiment.experiment import Experiment
from workers.experiment.result.versions import difference, versions
from workers.experiment.seeds import SeedManager
from workers.experiment.steps.journal import Budget, Journal, StepRecord
from workers.experiment.steps.log import ORIGINS
from workers.jobs.experiments.loading import (
    StoredRun,
    load_roles,
    load_run,
    notes_of,
    read_steps,
    read_steps_within,
    recorded_versions,
    told_events,
)
from workers.jobs.experiments.models import RoleModel, RunModels, cost_of
from workers.jobs.experiments.origin import model_origins
from workers.jobs.experiments.outcome import ending_of, keep_ending
from workers.jobs.experiments.run_steps import RunIdentity, RunSteps
from workers.jobs.experiments.step_writer import StepWriter
from workers.jobs.handler import OneStage, Work
from workers.jobs.running import RunningAttempt, StopReason
from workers.jobs.turn_world import StageParts

log = logging.getLogger(__name__)

#: Seconds that a run which is cut off may take to write what it has done.
LAST_STEPS = 2.0


@dataclass(slots=True)
class _Progress:
    """A run while an attempt works on it."""

    run: StoredRun
    experiment: Experiment
    journal: Journal
    steps: RunSteps
    error: BaseException | None = None
    #: Number of the event that ends the run.
    last_event: int | None = None


class ExperimentHandler(OneStage):
    """Runs experiments.

    Args:
        parts: the database, and what providers are called with.
        writer: of the process's steps.
    """

    along: Along | None = None

    def __init__(self, parts: StageParts, writer: StepWriter) -> None:
        self._parts = parts
        self._writer = writer
        self._progress: dict[str, _Progress] = {}
        #: Why runs could not be begun.
        self._unbegun: dict[str, BaseException] = {}

    async def work(self, attempt: RunningAttempt) -> Work:
        """Run it from its last step to its end."""
        try:
            progress = await self._begin(attempt)
        except BaseException as error:
            self._unbegun[attempt.job.lease] = error
            raise
        try:
            await progress.experiment.run()
            await progress.steps.flush()
        except ReplayDivergedError as error:
            progress.error = await self._with_versions(error, progress.run)
            raise progress.error from error
        except BaseException as error:
            progress.error = error
            if attempt.stopped is not StopReason.FENCED:
                # What was answered is kept, however the attempt ends.
                with suppress(AttemptLostError, SQLAlchemyError, OSError, TimeoutError):
                    await asyncio.shield(asyncio.wait_for(progress.steps.flush(), LAST_STEPS))
            raise
        return Work(Reply(), {"experiment_id": str(progress.run.experiment_id)})

    async def _with_versions(self, error: ReplayDivergedError, run: StoredRun) -> ReplayDivergedError:
        """``error``, and with what the run was made where that is not what replays it."""
        made = await recorded_versions(self._parts.engine, run.recorded_in)
        differs = difference(made, versions()) if made else None
        return error if differs is None else ReplayDivergedError(f"{error.detail} {differs}")

    def partial(self, attempt: RunningAttempt) -> Reply:
        """A run has no text; its steps are stored."""
        return Reply(details={"attempt": attempt.job.attempt})

    async def keep(
        self,
        attempt: RunningAttempt,
        transaction: FencedTransaction,
        status: Status,
        message_id: UUID | None,
    ) -> dict[str, Any]:
        """The result, also of a run that did not come to its end, and its last event."""
        progress = self._progress.get(attempt.job.lease)
        if progress is None:
            error = self._unbegun.get(attempt.job.lease)
            told = {"code": error.code, "message": error.detail} if isinstance(error, ParleyError) else None
            await experiment_end.record(transaction.connection, transaction.job, status, told)
            return {}
        run = progress.run
        recorded = await read_steps_within(transaction.connection, run.recorded_in)
        ending = ending_of(
            run, progress.experiment, progress.journal.standing, recorded, status, progress.error
        )
        outcome, progress.last_event = await keep_ending(transaction, run, status, ending)
        return outcome

    def forget(self, attempt: RunningAttempt) -> None:
        """The attempt is over."""
        self._unbegun.pop(attempt.job.lease, None)
        progress = self._progress.pop(attempt.job.lease, None)
        if progress is not None and progress.last_event is not None and attempt.ended:
            self._writer.announce(attempt.job, progress.last_event)

    async def _begin(self, attempt: RunningAttempt) -> _Progress:
        """Load the run, and what it has done so far."""
        parts, job = self._parts, attempt.job
        run = await load_run(parts.engine, job.id)
        recorded = await read_steps(parts.engine, run.recorded_in)
        roles: dict[str | None, RoleModel] = {}
        if not run.replay:
            roles = await load_roles(parts.engine, run, parts.box, parts.settings)
        models = RunModels(
            roles,
            client=parts.client,
            permits=parts.permits,
            lease=job.lease,
            confirm=attempt.confirm,
            growth=run.config.phase2_settings.retry_backoff_factor,
            found=notes_of(recorded.steps.values()),
        )
        before = sum(_cost(step, roles) for step in recorded.steps.values())
        priced = bool(roles) and all(role.prices is not None for role in roles.values())
        steps = self._writer.open(
            RunIdentity(run.experiment_id, job.id, job.attempt),
            told=await told_events(parts.engine, run.experiment_id),
            on_fenced=lambda: attempt.stop(StopReason.FENCED),
            cost=lambda: before + models.cost if priced else None,
        )
        budget = run.config.budget
        journal = Journal(
            steps,
            models,
            SeedManager(run.seed),
            recorded=recorded.steps,
            expected_calls=expected_calls(run.config).expected,
            budget=Budget(tokens=budget.tokens, calls=budget.calls, seconds=budget.seconds),
            spent=run.spent,
            replay=run.replay,
        )
        experiment = Experiment(run.config, journal, earlier=run.earlier, since=run.fork_round)
        progress = _Progress(run, experiment, journal, steps)
        self._progress[job.lease] = progress
        if ORIGINS.path not in recorded.steps:
            origins = await model_origins(run, roles, parts.client)
            experiment.origins = journal.note(ORIGINS, lambda: origins)
        else:
            experiment.origins = journal.note(ORIGINS, list)
        self._tell_beginning(attempt, progress)
        return progress

    def _tell_beginning(self, attempt: RunningAttempt, progress: _Progress) -> None:
        run, number = progress.run, attempt.job.attempt
        progress.journal.emit(
            "started",
            EventType.EXPERIMENT_STARTED,
            {
                "name": run.name,
                "agents": [agent.name for agent in run.config.agents],
                "profile": run.config.profile,
                "rounds": run.config.phase2_rounds,
                "seed": run.seed,
                "config_hash": run.config_hash,
                "design_hash": run.asked.design_hash,
                "kind": run.kind,
            },
        )
        if number > 1:
            progress.journal.emit(f"resumed/{number}", EventType.RESUMED, {"attempt": number})


def _cost(step: StepRecord, roles: Mapping[str | None, RoleModel]) -> float:
    role = roles.get(step.role)
    if step.answer is None or role is None or role.prices is None:
        return 0.0
    return cost_of(role.prices, step.answer.input_tokens, step.answer.output_tokens)
