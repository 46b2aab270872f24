"""Experiments: checked, accepted, listed, looked into."""

from __future__ import annotations

import asyncio
import uuid
from typing import Annotated, Any

import orjson
from fastapi import Depends, Query, Request, Response

from gateway.dependencies import CallerOf, OnceOf, PagingOf, State
from gateway.experiments import showing
from gateway.experiments.accepting import accept, repeated
from gateway.experiments.incoming import REQUEST_BODY, Options, Submitted, receive
from gateway.experiments.role_models import role_models
from gateway.idempotency import Once
from gateway.pagination import by_time
from gateway.routing import make_router
from gateway.state import GatewayState
from shared.database.models import Experiment
from shared.database.repositories import experiments, owned
from shared.errors import ExperimentRunningError, ValidationError
from shared.jobs import new_turn
from shared.jobs.experiments import NewExperiment
from shared.jobs.job import Job
from shared.jobs.listing import jobs_by_id
from shared.schemas.experiment.asked import Asked, SeedSource
from shared.schemas.experiment.cautions import cautions
from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.estimate import expected_calls
from shared.schemas.experiment.identity import config_hash, derived_seed, design_hash
from shared.schemas.experiment.schema import json_schema
from shared.schemas.experiment.stored import stored
from shared.schemas.experiments import (
    CallsExpected,
    ConnectionGiven,
    ExperimentAccepted,
    ExperimentFault,
    ExperimentKind,
    ExperimentName,
    ExperimentOut,
    ExperimentSummary,
    ExperimentUpdate,
    ExperimentValidated,
    RoleModels,
)
from shared.schemas.job import JobStatus
from shared.schemas.page import Page
from shared.schemas.text import Name

router = make_router("/experiments", "experiments")


async def get_options(
    name: Annotated[ExperimentName | None, Query(description="What a YAML file's run is called.")] = None,
    seed: Annotated[int | None, Query(ge=0, lt=2**31, description="Its seed, before the file's own.")] = None,
    connection: Annotated[
        ConnectionGiven | None, Query(description="The connection that answers for every role.")
    ] = None,
    file: Annotated[Name | None, Query(max_length=255, description="The file's name.")] = None,
    seed_source: Annotated[
        SeedSource | None,
        Query(description="Where the seed that is given is from, unless the caller chose it."),
    ] = None,
) -> Options:
    """The query parameters that go with a YAML file."""
    return Options(name, seed, connection, file, seed_source)


OptionsOf = Annotated[Options, Depends(get_options)]


@router.post(
    "",
    status_code=202,
    response_model=ExperimentAccepted,
    openapi_extra={"requestBody": REQUEST_BODY},
)
async def create_experiment(
    http: Request, state: State, caller: CallerOf, once: OnceOf, options: OptionsOf
) -> Response:
    """Run an experiment: `{name?, config, seed?, seed_source?, connection?}`, or the YAML file itself
    (`Content-Type: application/yaml`, the others as query parameters).
    """
    key = named(once)
    if (answered := await repeated(state, caller.user_id, key)) is not None:
        return answered
    submitted = await receive(http, options)
    read = await asyncio.to_thread(submitted.config)
    config = _seeded(read, submitted)
    async with state.sessions() as session:
        models = await role_models(session, caller.user_id, config, submitted.connection)
    asked = Asked(
        connection=submitted.connection,
        seed_source=_seed_source(read, submitted),
        design_hash=design_hash(config, models.names),
    )
    new = NewExperiment(
        owner_id=caller.user_id,
        name=submitted.shown_name,
        profile=config.profile,
        config=stored(config),
        config_source=submitted.source,
        config_file=submitted.file,
        config_hash=config_hash(config),
        seed=derived_seed(config),
        models={**models.model_dump(mode="json"), **asked.model_dump(mode="json")},
        once=key,
    )
    return await accept(state, new)


@router.post("/validate", response_model=ExperimentValidated, openapi_extra={"requestBody": REQUEST_BODY})
async def validate_experiment(
    http: Request, state: State, caller: CallerOf, options: OptionsOf
) -> ExperimentValidated:
    """Whether a configuration would be run, and with how many calls to which models; nothing is made.

    A configuration that is not valid is an answer, too: `valid` is false and `errors` name the keys.
    """
    submitted = await receive(http, options)
    try:
        config = _seeded(await asyncio.to_thread(submitted.config), submitted)
    except ValidationError as error:
        return ExperimentValidated(valid=False, errors=_faults(error))
    models: RoleModels | None = None
    errors: list[ExperimentFault] = []
    async with state.sessions() as session:
        try:
            models = await role_models(session, caller.user_id, config, submitted.connection)
        except ValidationError as error:
            errors = _faults(error)
    calls = expected_calls(config)
    return ExperimentValidated(
        valid=not errors,
        errors=errors,
        cautions=[ExperimentFault(field=one.field, message=one.message) for one in cautions(config)],
        calls=CallsExpected(
            phase_1=calls.phase_1,
            per_round=calls.per_round,
            minimum=calls.minimum,
            expected=calls.expected,
            maximum=calls.maximum,
        ),
        profile=config.profile,
        seed=derived_seed(config),
        config_hash=config_hash(config),
        design_hash=None if models is None else design_hash(config, models.names),
        models=models,
    )


@router.get("/schema", response_model=dict[str, Any])
async def get_schema(caller: CallerOf) -> Response:
    """The JSON Schema of a configuration: every key with its meaning, default and range."""
    return Response(await asyncio.to_thread(_schema), media_type="application/schema+json")


@router.get("")
async def list_experiments(
    state: State,
    caller: CallerOf,
    paging: PagingOf,
    status: Annotated[JobStatus | None, Query()] = None,
    kind: Annotated[ExperimentKind | None, Query()] = None,
    source_id: Annotated[uuid.UUID | None, Query(description="only replays and forks of this one")] = None,
) -> Page[ExperimentSummary]:
    """The caller's experiments, newest first."""
    async with state.sessions() as session:
        rows = await experiments.page(
            session,
            caller.user_id,
            limit=paging.fetch,
            after=paging.position(),
            status=status,
            kind=kind,
            source_id=source_id,
        )
    jobs = await jobs_by_id(state.engine, [row.job_id for row in rows])
    return paging.page(rows, lambda row: showing.summary(row, jobs[row.job_id]), by_time)


@router.get("/{experiment_id}")
async def get_experiment(experiment_id: uuid.UUID, state: State, caller: CallerOf) -> ExperimentOut:
    """One experiment: how far it is, what it used, its configuration, models and attempts."""
    row, job = await found(state, caller, experiment_id)
    return await showing.whole(state, row, job)


@router.patch("/{experiment_id}")
async def update_experiment(
    experiment_id: uuid.UUID, state: State, caller: CallerOf, body: ExperimentUpdate
) -> ExperimentOut:
    """Rename an experiment; nothing else of it changes."""
    async with state.sessions.begin() as session:
        row = await experiments.get(session, caller.user_id, experiment_id, lock=True)
        owned.assign(row, body.model_dump(exclude_unset=True))
    return await get_experiment(experiment_id, state, caller)


@router.delete("/{experiment_id}", status_code=204)
async def delete_experiment(experiment_id: uuid.UUID, state: State, caller: CallerOf) -> None:
    """Delete an experiment whose run has ended; one that goes on is cancelled first."""
    row, job = await found(state, caller, experiment_id)
    async with state.sessions.begin() as session:
        hidden = await experiments.hide(session, row)
    if not hidden:
        raise ExperimentRunningError(
            f"The experiment is {job.shown_status}; cancel it first (POST "
            f"/api/experiments/{experiment_id}/cancel)."
        )


async def found(state: GatewayState, caller: CallerOf, experiment_id: uuid.UUID) -> tuple[Experiment, Job]:
    """An experiment of the caller and its job.

    Raises:
        ExperimentNotFoundError: there is none, it was deleted, or it is somebody else's.
    """
    async with state.sessions() as session:
        row = await experiments.get(session, caller.user_id, experiment_id)
    return row, await state.jobs.store.owned(row.job_id, caller.user_id)


async def recorded(state: GatewayState, caller: CallerOf, row: Experiment) -> Experiment:
    """The run that has the steps: a replay has none of its own."""
    if row.kind != "replay" or row.source_id is None:
        return row
    async with state.sessions() as session:
        return await experiments.get(session, caller.user_id, row.source_id, deleted=True)


def named(once: Once) -> new_turn.Once | None:
    """The request's ``Idempotency-Key``, if it has one."""
    if once.key is None:
        return None
    return new_turn.Once(route=once.route, key=once.key, body_hash=once.body_hash)


def _seeded(config: ExperimentConfig, submitted: Submitted) -> ExperimentConfig:
    return config if submitted.seed is None else config.model_copy(update={"seed": submitted.seed})


def _seed_source(read: ExperimentConfig, submitted: Submitted) -> SeedSource:
    """Where the seed of a run is from; ``read`` is the configuration as it was sent."""
    if submitted.seed is not None:
        return submitted.seed_source or "request"
    return "derived" if read.seed is None else "config"


def _schema() -> bytes:
    return orjson.dumps(json_schema())


def _faults(error: ValidationError) -> list[ExperimentFault]:
    known = ExperimentFault.model_fields
    return [
        ExperimentFault.model_validate({key: value for key, value in fault.items() if key in known})
        for fault in error.errors
    ] or [ExperimentFault(field="body", message=error.detail)]
