"""Experiments: found for their owner, listed with their jobs, hidden."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import case, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.models import Experiment, ExperimentResult, Job
from shared.database.repositories import owned
from shared.errors import ExperimentNotFoundError
from shared.schemas.page import Position

_MISSING = "There is no such experiment; GET /api/experiments lists yours."


async def get(
    session: AsyncSession,
    owner_id: uuid.UUID,
    experiment_id: uuid.UUID,
    *,
    lock: bool = False,
    deleted: bool = False,
) -> Experiment:
    """An experiment of the owner; with ``lock`` nobody else changes it until the transaction ends, with
    ``deleted`` also one that its owner has deleted.

    Raises:
        ExperimentNotFoundError: there is none, or it was deleted.
    """
    try:
        row = await owned.get(
            session, Experiment, owner_id, experiment_id, ExperimentNotFoundError, lock=lock
        )
    except ExperimentNotFoundError:
        raise ExperimentNotFoundError(_MISSING) from None
    if row.deleted_at is not None and not deleted:
        raise ExperimentNotFoundError(_MISSING)
    return row


async def page(
    session: AsyncSession,
    owner_id: uuid.UUID,
    *,
    limit: int,
    after: Position | None = None,
    status: str | None = None,
    kind: str | None = None,
    source_id: uuid.UUID | None = None,
) -> Sequence[Experiment]:
    """The owner's experiments, newest first.

    Args:
        session: for reading.
        owner_id: whose.
        limit: how many at most.
        after: the place in the list behind which they begin.
        status: of the job, as clients are told, ``cancelling`` included.
        kind: ``run``, ``replay`` or ``fork``.
        source_id: only what replays or forks this one.
    """
    query = select(Experiment).where(Experiment.owner_id == owner_id, Experiment.deleted_at.is_(None))
    if source_id is not None:
        query = query.where(Experiment.source_id == source_id)
    if kind is not None:
        query = query.where(Experiment.kind == kind)
    if status is not None:
        marked = (Job.status == "running") & Job.cancel_requested_at.is_not(None)
        query = query.join(Job, Job.id == Experiment.job_id).where(
            case((marked, "cancelling"), else_=Job.status) == status
        )
    return await owned.page(session, query, Experiment, limit=limit, after=after)


async def hide(session: AsyncSession, experiment: Experiment) -> bool:
    """Delete an experiment for its owner, unless its run goes on; whether it was.

    Its steps stay for those that replay it; the sweep removes what nobody needs.
    """
    ended = exists().where(Job.id == Experiment.job_id, Job.phase == "ended")
    changed = await session.execute(
        update(Experiment)
        .where(Experiment.id == experiment.id, ended)
        .values(deleted_at=func.clock_timestamp())
        .returning(Experiment.id)
        .execution_options(synchronize_session=False)
    )
    return changed.first() is not None


async def result(session: AsyncSession, experiment_id: uuid.UUID) -> ExperimentResult | None:
    """What came of the run so far; the caller has found the experiment for its owner."""
    return await session.get(ExperimentResult, experiment_id)


async def result_hash(session: AsyncSession, experiment_id: uuid.UUID) -> str | None:
    """The SHA-256 of the stored result; ``None`` while there is none."""
    found: str | None = await session.scalar(
        select(ExperimentResult.sha256).where(ExperimentResult.experiment_id == experiment_id)
    )
    return found
