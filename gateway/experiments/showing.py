"""Experiments on the wire."""

from __future__ import annotations

from typing import Any

from gateway.state import GatewayState
from shared.database.models import Experiment
from shared.database.repositories import experiments
from shared.jobs import listing
from shared.jobs.job import Job
from shared.jobs.states import Phase
from shared.schemas.experiment.asked import Asked
from shared.schemas.experiments import ExperimentAccepted, ExperimentOut, ExperimentSummary
from shared.schemas.job import AttemptOut


def accepted(experiment_id: Any, session_id: Any) -> ExperimentAccepted:
    """Where an experiment that was accepted is followed."""
    return ExperimentAccepted(
        experiment_id=experiment_id,
        session_id=session_id,
        events_url=f"/api/experiments/{experiment_id}/events",
    )


def summary(row: Experiment, job: Job) -> ExperimentSummary:
    """An experiment in a list."""
    return ExperimentSummary.model_validate(_summary(row, job))


async def whole(state: GatewayState, row: Experiment, job: Job) -> ExperimentOut:
    """An experiment with everything but its steps."""
    async with state.sessions() as session:
        has_result = await experiments.result_hash(session, row.id) is not None
    asked = Asked.stored(row.models)
    queued = job.phase in (Phase.READY, Phase.WAITING)
    return ExperimentOut(
        **_summary(row, job),
        config=row.config,
        config_file=row.config_file,
        models={role: model for role, model in row.models.items() if role not in Asked.model_fields},
        connection=asked.connection,
        fork_round=row.fork_round,
        changes=row.changes,
        source_configs=row.source_configs,
        has_result=has_result,
        queue_position=await state.jobs.store.queue_position(job.id) if queued else None,
        failures=job.failures,
        last_failure=job.last_failure,
        attempts=[
            AttemptOut(
                attempt=attempt.attempt,
                worker=attempt.worker,
                started_at=attempt.started_at,
                finished_at=attempt.finished_at,
                outcome=attempt.outcome.value if attempt.outcome else None,
            )
            for attempt in await listing.attempts(state.engine, job.id)
        ],
    )


def _summary(row: Experiment, job: Job) -> dict[str, Any]:
    asked = Asked.stored(row.models)
    return {
        "id": row.id,
        "session_id": job.id,
        "name": row.name,
        "kind": row.kind,
        "source_id": row.source_id,
        "profile": row.profile,
        "status": job.shown_status,
        "active": not job.ended,
        "attempt": job.attempt,
        "phase": row.phase,
        "round": row.round,
        "progress": row.progress,
        "calls": row.calls,
        "reasked": row.reasked,
        "tokens": row.input_tokens + row.output_tokens,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "seconds": row.seconds,
        # Of a run that has ended nothing is left, and one that has not begun cannot tell.
        "seconds_left": None if job.ended else row.seconds_left,
        "cost": None if row.cost is None else float(row.cost),
        "degraded": row.degraded,
        "seed": row.seed,
        "seed_source": asked.seed_source,
        "config_hash": row.config_hash,
        "design_hash": asked.design_hash,
        "result_hash": row.result_hash,
        "matches_source": row.matches_source,
        "created_at": row.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "error": job.error,
    }
