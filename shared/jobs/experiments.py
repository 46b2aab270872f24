"""Experiments as jobs: accepted, and resumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import direct
from shared.database.repositories import experiment_steps
from shared.errors import ValidationError
from shared.jobs import spans
from shared.jobs.accept import later_job, later_position, name_job, remember
from shared.jobs.event_log import EventLog
from shared.jobs.job import Job
from shared.jobs.new_turn import Acceptance, Once
from shared.jobs.retry import retry
from shared.jobs.statements import as_json, statement
from shared.jobs.states import JobKind, Phase
from shared.jobs.store import JobStore
from shared.jobs.wakeups import Wakeups

_INSERT = statement("insert_experiment")
_SET_BUDGET = text(
    "UPDATE experiments e SET config = jsonb_set(e.config, '{budget}', CAST(:budget AS jsonb)) FROM jobs j "
    "WHERE e.job_id = :job_id AND j.id = e.job_id AND j.phase = 'ended' AND j.status <> 'succeeded' "
    "RETURNING e.id"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewExperiment:
    """An experiment to accept; see :class:`shared.database.models.experiment.Experiment`.

    Attributes:
        config: the whole configuration as JSON.
        models: the route of each role.
        kind: ``run``, ``replay`` or ``fork``.
        source_id: of a replay or fork; the caller has checked that it is the owner's.
    """

    owner_id: UUID
    name: str
    profile: str
    config: Mapping[str, Any]
    config_hash: str
    seed: int
    models: Mapping[str, Any]
    config_source: str | None = None
    config_file: str | None = None
    kind: str = "run"
    source_id: UUID | None = None
    fork_round: int | None = None
    changes: Mapping[str, Any] | None = None
    source_configs: Sequence[Mapping[str, Any]] | None = None
    once: Once | None = None
    id: UUID = field(default_factory=uuid4)
    job_id: UUID = field(default_factory=uuid4)


@spans.accepting("experiment")
@direct.survives_migration
async def accept_experiment(engine: AsyncEngine, new: NewExperiment) -> Acceptance:
    """Commit an experiment: idempotency record, experiment and job, in one transaction; of a fork also what
    it has in common with its source.

    The caller wakes a worker, unless an earlier request was joined.

    Raises:
        ValidationError: a fork from a round that its source has not come to.
        IdempotencyKeyReusedError: the key was used with another body.
    """
    async with direct.begin(engine) as connection:
        if new.once is not None:
            earlier = await remember(connection, new.owner_id, new.once)
            if earlier is not None:
                spans.accepted(earlier, joined=True)
                return Acceptance(earlier, joined=True)
        inserted = later_job(
            connection,
            id=new.job_id,
            kind=JobKind.EXPERIMENT,
            owner_id=new.owner_id,
            phase=Phase.READY,
            payload={"experiment_id": str(new.id)},
        )
        connection.later(_INSERT, _columns(new))
        if new.kind == "fork":
            await _copy_steps(connection, new)
        if new.once is not None:
            await name_job(connection, new.owner_id, new.once, new.job_id)
        position = later_position(connection, new.job_id)
    job = Job.from_row(inserted.rows.mappings().one())
    spans.accepted(job)
    return Acceptance(job, position=position.rows.scalar())


async def resume_experiment(
    store: JobStore,
    log_: EventLog,
    wakeups: Wakeups,
    job: Job,
    budget: Mapping[str, Any] | None = None,
) -> Job:
    """Let a failed or cancelled run go on from its last step, with another budget if one is given.

    Args:
        store: the jobs.
        log_: the event log.
        wakeups: to wake a worker.
        job: the run's job.
        budget: the whole of it.

    Raises:
        JobNotEndedError: it has not failed or been cancelled.
    """
    if budget is not None:
        # Nothing is changed under a run that goes on; the retry says so.
        await direct.execute(store.engine, _SET_BUDGET, {"job_id": job.id, "budget": as_json(dict(budget))})
    return await retry(store, log_, wakeups, job)


async def _copy_steps(connection: direct.DirectConnection, new: NewExperiment) -> None:
    assert new.source_id is not None, "of a fork"
    assert new.fork_round is not None, "of a fork"
    last = await experiment_steps.last_round(connection, new.source_id)
    if new.fork_round > last:
        reached = f"it has come to round {last}" if last else "its group has not met"
        message = f"the experiment cannot be forked from round {new.fork_round}: {reached}"
        raise ValidationError(message, errors=[{"field": "round", "message": message}])
    await experiment_steps.copy(connection, new.source_id, new.id, before_round=new.fork_round)


def _columns(new: NewExperiment) -> dict[str, Any]:
    return {
        "id": new.id,
        "owner_id": new.owner_id,
        "job_id": new.job_id,
        "name": new.name,
        "profile": new.profile,
        "config": as_json(dict(new.config)),
        "config_source": new.config_source,
        "config_file": new.config_file,
        "config_hash": new.config_hash,
        "seed": new.seed,
        "models": as_json(dict(new.models)),
        "kind": new.kind,
        "source_id": new.source_id,
        "fork_round": new.fork_round,
        "changes": as_json(None if new.changes is None else dict(new.changes)),
        "source_configs": as_json(None if new.source_configs is None else list(new.source_configs)),
    }
