"""A run as the database has it: its configuration, what was recorded, and the connections it may use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import direct
from shared.errors import ConnectionNotFoundError, NotFoundError
from shared.schemas.connection import Prices
from shared.schemas.experiment.asked import Asked
from shared.schemas.experiment.config import ExperimentConfig
from shared.security.secrets import SecretBox
from shared.settings import Settings
from workers.experiment.steps.journal import StepRecord
from workers.experiment.steps.log import Recorded, recorded_step
from workers.jobs.experiments.models import RoleModel
from workers.jobs.turns import check_model, select_connections, stored_target

_SQL = Path(__file__).parent / "sql"
_RUN = text((_SQL / "run.sql").read_text())
_STEPS = text((_SQL / "recorded_steps.sql").read_text())
_TOLD = text("SELECT key FROM experiment_events WHERE experiment_id = :experiment_id")
_RESULT = text("SELECT result FROM experiment_results WHERE experiment_id = :experiment_id")
_CONNECTIONS = select_connections(
    "WHERE k.owner_id = :owner_id AND k.id = ANY(CAST(:connection_ids AS uuid[]))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A row of ``experiments``.

    Attributes:
        document: ``config`` as it is stored, with the keys of the version that accepted the run.
        routes: by agent's name, the utility agent's under ``None``:
            ``{connection_id, provider, model, connection_name}``.
        asked: what came with the request beside the configuration, and the design that followed.
        earlier: of a fork, what was in force before: the round from which on, and the configuration.
        earlier_documents: the same as it is stored.
        spent: seconds that earlier attempts worked on it.
        source_hash: of the result of what is replayed.
    """

    experiment_id: UUID
    owner_id: UUID
    name: str
    config: ExperimentConfig
    document: Mapping[str, Any]
    config_file: str | None
    config_hash: str
    seed: int
    routes: Mapping[str | None, Mapping[str, Any]]
    asked: Asked
    kind: str
    source_id: UUID | None
    fork_round: int | None
    earlier: tuple[tuple[int, ExperimentConfig], ...]
    earlier_documents: tuple[tuple[int, Mapping[str, Any]], ...]
    spent: float
    created_at: datetime
    started_at: datetime | None
    source_hash: str | None

    @property
    def recorded_in(self) -> UUID:
        """The experiment that holds its steps: its own, or that of the run which it replays."""
        if not self.replay:
            return self.experiment_id
        if self.source_id is None:
            raise NotFoundError("The experiment that this one replays was deleted, with its steps.")
        return self.source_id

    @property
    def replay(self) -> bool:
        """Whether it runs from what another run recorded."""
        return self.kind == "replay"


async def load_run(engine: AsyncEngine, job_id: UUID) -> StoredRun:
    """The experiment that the job runs.

    Raises:
        NotFoundError: it was deleted meanwhile.
    """
    row = (await direct.execute(engine, _RUN, {"job_id": job_id})).mappings().first()
    if row is None:
        raise NotFoundError("The experiment was deleted.")
    models = row["models"]
    earlier = tuple((entry["from_round"], entry["config"]) for entry in row["source_configs"] or ())
    return StoredRun(
        experiment_id=row["id"],
        owner_id=row["owner_id"],
        name=row["name"],
        config=ExperimentConfig.model_validate(row["config"]),
        document=row["config"],
        config_file=row["config_file"],
        config_hash=row["config_hash"],
        seed=row["seed"],
        routes={**models["agents"], None: models["utility"]},
        asked=Asked.stored(models),
        kind=row["kind"],
        source_id=row["source_id"],
        fork_round=row["fork_round"],
        earlier=tuple((number, ExperimentConfig.model_validate(config)) for number, config in earlier),
        earlier_documents=earlier,
        spent=row["seconds"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        source_hash=row["source_hash"],
    )


async def read_steps(engine: AsyncEngine, experiment_id: UUID) -> Recorded:
    """The recorded steps of a run, those in flight among them."""
    return _recorded(await direct.execute(engine, _STEPS, {"experiment_id": experiment_id}))


async def read_steps_within(connection: direct.Connection, experiment_id: UUID) -> Recorded:
    """The same, as the transaction of ``connection`` sees them."""
    return _recorded(await connection.execute(_STEPS, {"experiment_id": experiment_id}))


def _recorded(found: direct.Rows) -> Recorded:
    rows = found.all()
    return Recorded(
        {row.path: recorded_step(row) for row in rows},
        {row.path: (row.started_at, row.answered_at) for row in rows},
    )


async def recorded_versions(engine: AsyncEngine, experiment_id: UUID) -> dict[str, str]:
    """What a run was made with, as its result tells; nothing when it has none."""
    row = (await direct.execute(engine, _RESULT, {"experiment_id": experiment_id})).first()
    return {} if row is None else dict(orjson.loads(row.result)["run"]["versions"])


async def told_events(engine: AsyncEngine, experiment_id: UUID) -> set[str]:
    """The keys of the events that were told."""
    rows = await direct.execute(engine, _TOLD, {"experiment_id": experiment_id})
    return {key for (key,) in rows}


async def load_roles(
    engine: AsyncEngine, run: StoredRun, box: SecretBox, settings: Settings
) -> dict[str | None, RoleModel]:
    """Who plays which role, over the owner's own connections.

    Raises:
        ConnectionNotFoundError: one of them was deleted meanwhile.
        ModelNotFoundError: the local model has another name.
    """
    wanted = {route["connection_id"] for route in run.routes.values()}
    parameters = {"owner_id": run.owner_id, "connection_ids": sorted(wanted)}
    found = (await direct.execute(engine, _CONNECTIONS, parameters)).mappings()
    rows = {str(row["connection_id"]): row for row in found}
    roles: dict[str | None, RoleModel] = {}
    for role, route in run.routes.items():
        row = rows.get(str(route["connection_id"]))
        if row is None:
            named = route.get("connection_name") or "of this run"
            raise ConnectionNotFoundError(
                f"The connection {named} was deleted, and {role or 'the utility agent'} needs it."
            )
        target = stored_target(row, box, settings)
        check_model(target, route["model"], settings)
        prices = row["prices"]
        roles[role] = RoleModel(
            target=target,
            model=route["model"],
            temperature=_temperature(run.config, role),
            max_tokens=run.config.max_answer_tokens,
            structured=run.config.structured_output,
            prices=None if not prices else Prices(**prices),
        )
    return roles


def notes_of(steps: Iterable[StepRecord]) -> set[tuple[str | None, str]]:
    """What earlier attempts found out about the models, by role."""
    return {(step.role, note) for step in steps if step.answer is not None for note in step.answer.notes}


def _temperature(config: ExperimentConfig, role: str | None) -> float | None:
    if role is None:
        return config.utility_agent_temperature
    return next(agent.temperature for agent in config.agents if agent.name == role)
