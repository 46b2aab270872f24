"""What is done with a run: cancelled, resumed, forked, replayed."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import Response

from gateway.dependencies import CallerOf, OnceOf, State
from gateway.experiments.accepting import accept, repeated
from gateway.experiments.role_models import role_models, same_models
from gateway.experiments.showing import accepted
from gateway.routes.experiments import found, named, recorded
from gateway.routing import make_router
from gateway.state import GatewayState
from shared.database.models import Experiment
from shared.errors import ExperimentNotFinishedError, JobNotEndedError, ValidationError
from shared.jobs.experiments import NewExperiment, resume_experiment
from shared.jobs.states import Status
from shared.schemas.experiment.asked import Asked
from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.fork import changed
from shared.schemas.experiment.identity import config_hash, design_hash
from shared.schemas.experiment.reading import read_config
from shared.schemas.experiment.stored import stored
from shared.schemas.experiments import (
    BudgetChange,
    ExperimentAccepted,
    ExperimentCancelled,
    ExperimentFork,
    ExperimentReplay,
    ExperimentResume,
    RoleModels,
)

router = make_router("/experiments", "experiments")


@router.post("/{experiment_id}/cancel")
async def cancel_experiment(experiment_id: uuid.UUID, state: State, caller: CallerOf) -> ExperimentCancelled:
    """Cancel a run; its steps are kept, and it can be resumed. A second cancel changes nothing."""
    row, _ = await found(state, caller, experiment_id)
    cancelled, job = await state.jobs.sessions.cancel_session(row.job_id, caller.user_id)
    messages = {
        "cancelling": "The run is being cancelled.",
        "cancelled": "The run is cancelled; resume it to go on from its last step.",
    }
    return ExperimentCancelled(
        experiment_id=row.id,
        session_id=job.id,
        cancelled=cancelled,
        status=job.shown_status,
        message=messages.get(job.shown_status, "The run had ended before."),
    )


@router.post("/{experiment_id}/resume", status_code=202)
async def resume(
    experiment_id: uuid.UUID, state: State, caller: CallerOf, body: ExperimentResume | None = None
) -> ExperimentAccepted:
    """Let a failed or cancelled run go on from its last step: nothing that is recorded runs again.

    `budget` replaces the limits that it names; its events go on under later ids.
    """
    row, job = await found(state, caller, experiment_id)
    if not job.ended or job.answered:
        raise JobNotEndedError(
            f"The experiment is {job.shown_status}; only a failed or cancelled one can be resumed."
        )
    change = BudgetChange() if body is None or body.budget is None else body.budget
    budget = _budget(row, change, used_up=(job.error or {}).get("code") == "budget_exceeded")
    resumed = await resume_experiment(state.jobs.store, state.jobs.log, state.jobs.wakeups, job, budget)
    return accepted(row.id, resumed.id)


@router.post("/{experiment_id}/fork", status_code=202, response_model=ExperimentAccepted)
async def fork(
    experiment_id: uuid.UUID, state: State, caller: CallerOf, once: OnceOf, body: ExperimentFork
) -> Response:
    """A new run that has phase 1 and the rounds before `round` in common with this one, and goes on from
    there with `changes`.
    """
    key = named(once)
    if (answered := await repeated(state, caller.user_id, key)) is not None:
        return answered
    row, _ = await found(state, caller, experiment_id)
    source = await recorded(state, caller, row)
    # The seed that it was run with, whatever this version would derive.
    before = read_config({**source.config, "seed": source.seed})
    config = changed(before, body.changes, from_round=body.round)
    new = NewExperiment(
        owner_id=caller.user_id,
        name=body.name or f"{row.name[:180]} (round {body.round})",
        profile=config.profile,
        config=stored(config),
        config_source=source.config_source,
        config_file=source.config_file,
        config_hash=config_hash(config),
        seed=source.seed,
        models=await _fork_models(state, caller, source, before, config, body),
        kind="fork",
        source_id=source.id,
        fork_round=body.round,
        changes=body.changes,
        source_configs=_earlier_configs(source, body.round),
        once=key,
    )
    return await accept(state, new)


@router.post("/{experiment_id}/replay", status_code=202, response_model=ExperimentAccepted)
async def replay(
    experiment_id: uuid.UUID,
    state: State,
    caller: CallerOf,
    once: OnceOf,
    body: ExperimentReplay | None = None,
) -> Response:
    """Run an experiment again from its recorded answers, without one call to a model; `matches_source` of the
    replay tells whether the same came of it.
    """
    key = named(once)
    if (answered := await repeated(state, caller.user_id, key)) is not None:
        return answered
    row, job = await found(state, caller, experiment_id)
    if job.status is not Status.SUCCEEDED:
        remedy = "resume it, and replay it when it has finished" if job.ended else "wait for its end"
        raise ExperimentNotFinishedError(
            f"The experiment is {job.shown_status}; only one that came to its end can be replayed: {remedy}."
        )
    source = await recorded(state, caller, row)
    new = NewExperiment(
        owner_id=caller.user_id,
        name=(body.name if body else None) or f"{row.name[:180]} (replay)",
        profile=source.profile,
        config=source.config,
        config_source=source.config_source,
        config_file=source.config_file,
        config_hash=source.config_hash,
        seed=source.seed,
        models=source.models,
        kind="replay",
        source_id=source.id,
        fork_round=source.fork_round,
        changes=source.changes,
        source_configs=source.source_configs,
        once=key,
    )
    return await accept(state, new)


def _budget(row: Experiment, change: BudgetChange, *, used_up: bool) -> dict[str, Any] | None:
    """The whole budget after a change; ``None`` when it stays. ``used_up``: that is why the run failed.

    Raises:
        ValidationError: a limit that is given, or that stopped the run, is used up already.
    """
    budget: dict[str, Any] = {**(row.config.get("budget") or {}), **change.model_dump(exclude_unset=True)}
    used = {"tokens": row.input_tokens + row.output_tokens, "calls": row.calls, "seconds": row.seconds}
    errors = [
        {
            "field": f"budget.{name}",
            "message": f"must be more than the {used[name]:.0f} that the run has used, or null",
        }
        for name, limit in sorted(budget.items())
        if (used_up or name in change.model_fields_set) and limit is not None and limit <= used[name]
    ]
    if errors:
        raise ValidationError(f"{errors[0]['field']}: {errors[0]['message']}", errors=errors)
    return budget if change.model_fields_set else None


def _earlier_configs(source: Experiment, fork_round: int) -> list[dict[str, Any]]:
    """What is in force before the fork's own configuration, oldest first."""
    earlier = [one for one in source.source_configs or [] if one["from_round"] < fork_round]
    begins = source.fork_round or 0
    if begins < fork_round:
        earlier.append({"from_round": begins, "config": source.config})
    return earlier


async def _fork_models(
    state: GatewayState,
    caller: CallerOf,
    source: Experiment,
    before: ExperimentConfig,
    config: ExperimentConfig,
    body: ExperimentFork,
) -> dict[str, Any]:
    """The models of a fork: those of its source, unless the request or the changes name others; and what was
    asked for with them.
    """
    asked = Asked.stored(source.models)
    if body.connection is None and same_models(before, config):
        models, connection = _models(source), asked.connection
    else:
        connection = body.connection
        async with state.sessions() as session:
            models = await role_models(session, caller.user_id, config, connection)
    design = asked.design_hash or design_hash(before, _models(source).names)
    asked = Asked(
        connection=connection,
        seed_source=asked.seed_source,
        design_hash=design_hash(config, models.names, fork=(design, body.round)),
    )
    return {**models.model_dump(mode="json"), **asked.model_dump(mode="json")}


def _models(row: Experiment) -> RoleModels:
    return RoleModels.model_validate({name: row.models[name] for name in RoleModels.model_fields})
