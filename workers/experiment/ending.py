"""What a run comes to, out of its journal and its recorded steps: made alike wherever it is run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from shared.schemas.experiment.asked import Asked
from shared.schemas.experiment.config import ExperimentConfig
from workers.experiment.experiment import Experiment
from workers.experiment.result.run import (
    FinishedRun,
    Lineage,
    ModelUsed,
    Prices,
    Reason,
    RunStatus,
    StepTimes,
)
from workers.experiment.result.usage import tally
from workers.experiment.result.versions import versions
from workers.experiment.steps.journal import Standing
from workers.experiment.steps.log import Recorded, log_digest


class KnownRun(Protocol):
    """What is known of a run before it begins."""

    # The names say what they are.
    # ruff: noqa: D102

    @property
    def experiment_id(self) -> UUID: ...
    @property
    def name(self) -> str: ...
    @property
    def config(self) -> ExperimentConfig: ...
    @property
    def document(self) -> Mapping[str, Any]: ...
    @property
    def config_file(self) -> str | None: ...
    @property
    def config_hash(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def replay(self) -> bool: ...
    @property
    def source_id(self) -> UUID | None: ...
    @property
    def fork_round(self) -> int | None: ...
    @property
    def earlier(self) -> tuple[tuple[int, ExperimentConfig], ...]: ...
    @property
    def earlier_documents(self) -> tuple[tuple[int, Mapping[str, Any]], ...]: ...
    @property
    def routes(self) -> Mapping[str | None, Mapping[str, Any]]: ...
    @property
    def asked(self) -> Asked: ...
    @property
    def started_at(self) -> datetime | None: ...


def finished_run(
    run: KnownRun,
    experiment: Experiment,
    standing: Standing,
    recorded: Recorded,
    status: RunStatus,
    reason: Reason | None = None,
) -> FinishedRun:
    """What the result of a run is made of.

    Args:
        run: whose.
        experiment: how far it came.
        standing: what it took.
        recorded: every step; of a replay, those of its source.
        status: how it ended.
        reason: why it is not complete.
    """
    counted = tally(recorded.steps.values())
    return FinishedRun(
        config=run.config,
        document=run.document,
        config_hash=run.config_hash,
        design_hash=run.asked.design_hash,
        seed=run.seed,
        seed_source=run.asked.seed_source or _seed_source(run),
        connection=run.asked.connection,
        status=status,
        reason=reason,
        phase_1=experiment.phase_1,
        phase_2=experiment.phase_2,
        standing=standing,
        spent=counted.spent(),
        models={**_routed(run), **_models(experiment.origins, counted.models)},
        notes={role: tuple(notes) for role, notes in counted.notes.items()},
        degraded=experiment.degraded,
        counterfactuals=experiment.counterfactuals,
        aggregation=experiment.aggregation,
        step_log=log_digest(recorded.steps.values()),
        versions=versions(),
        times={path: StepTimes(began, ended) for path, (began, ended) in recorded.times.items()},
        experiment_id=str(run.experiment_id),
        name=run.name,
        config_file=run.config_file,
        lineage=_lineage(run),
        earlier=run.earlier_documents,
        started_at=run.started_at or datetime.now(UTC),
        finished_at=datetime.now(UTC),
    )


def _seed_source(run: KnownRun) -> str:
    """As far as the configuration tells; a fork has the seed of its source written down."""
    first = run.earlier[0][1] if run.earlier else run.config
    return "derived" if first.seed is None else "config"


def _routed(run: KnownRun) -> dict[str | None, ModelUsed]:
    """What would answer, for a run that stopped before it had noted more."""
    return {
        role: ModelUsed(
            requested=route["model"],
            connection=route.get("connection_name"),
            provider=route.get("provider"),
        )
        for role, route in run.routes.items()
    }


def _models(
    origins: list[dict[str, Any]], answered: Mapping[str | None, list[str]]
) -> dict[str | None, ModelUsed]:
    return {
        origin["role"]: ModelUsed(
            requested=origin["requested"],
            answered=tuple(answered.get(origin["role"], ())),
            digest=origin["digest"],
            connection=origin["connection"],
            provider=origin["provider"],
            prices=None
            if origin["prices"] is None
            else Prices(
                input=Decimal(str(origin["prices"]["input"])), output=Decimal(str(origin["prices"]["output"]))
            ),
        )
        for origin in origins
    }


def _lineage(run: KnownRun) -> Lineage:
    source = None if run.source_id is None else str(run.source_id)
    if run.replay:
        return Lineage(replay_of=source)
    if run.fork_round is not None:
        return Lineage(forked_from=source, forked_round=run.fork_round)
    return Lineage()
