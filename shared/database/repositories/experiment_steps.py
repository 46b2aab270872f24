"""The steps of experiments, in the order in which they were begun.

Whoever asks has found the experiment for its owner. A run's own steps are written by its worker.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.direct import Connection
from shared.database.models import ExperimentStep
from shared.database.repositories.statements import statement

_COPY = statement("copy_steps")
_LAST_ROUND = text(
    "SELECT coalesce(max(round), 0) FROM experiment_steps WHERE experiment_id = :experiment_id AND phase = 2"
)


async def page(
    session: AsyncSession, experiment_id: uuid.UUID, *, limit: int, after: int = 0
) -> Sequence[ExperimentStep]:
    """The first ``limit`` steps behind the one with the id ``after``."""
    query = (
        select(ExperimentStep)
        .where(ExperimentStep.experiment_id == experiment_id, ExperimentStep.id > after)
        .order_by(ExperimentStep.id)
        .limit(limit)
    )
    rows: Sequence[ExperimentStep] = (await session.scalars(query)).all()
    return rows


async def in_order_of_paths(session: AsyncSession, experiment_id: uuid.UUID) -> list[int]:
    """The ids of a run's steps, in the order of their paths: the same wherever it was run."""
    steps = select(ExperimentStep.path, ExperimentStep.id)
    rows = await session.execute(steps.where(ExperimentStep.experiment_id == experiment_id))
    # Sorted here, because a database orders text as its locale does.
    return [identity for _, identity in sorted((row.path, row.id) for row in rows)]


async def these(session: AsyncSession, ids: Sequence[int]) -> Sequence[ExperimentStep]:
    """The steps with these ids, in this order; one that is gone is left out."""
    rows = (await session.scalars(select(ExperimentStep).where(ExperimentStep.id.in_(ids)))).all()
    place = {identity: at for at, identity in enumerate(ids)}
    return sorted(rows, key=lambda row: place[row.id])


async def load(session: AsyncSession, experiment_id: uuid.UUID) -> Sequence[ExperimentStep]:
    """Every step of a run."""
    query = (
        select(ExperimentStep)
        .where(ExperimentStep.experiment_id == experiment_id)
        .order_by(ExperimentStep.id)
    )
    rows: Sequence[ExperimentStep] = (await session.scalars(query)).all()
    return rows


async def count(session: AsyncSession, experiment_id: uuid.UUID) -> int:
    """How many steps a run has."""
    query = select(func.count()).where(ExperimentStep.experiment_id == experiment_id)
    return int(await session.scalar(query) or 0)


async def last_round(connection: Connection, experiment_id: uuid.UUID) -> int:
    """The last round of the group that has a step; 0 when the group has not met."""
    rows = await connection.execute(_LAST_ROUND, {"experiment_id": experiment_id})
    return int(rows.scalar() or 0)


async def copy(
    connection: Connection, source_id: uuid.UUID, experiment_id: uuid.UUID, *, before_round: int
) -> None:
    """Give an experiment the complete steps of another one: phase 1, and the group's earlier rounds."""
    await connection.execute(
        _COPY, {"source_id": source_id, "experiment_id": experiment_id, "before_round": before_round}
    )
