"""What came of a run: its result, its digest, and the event that ends it."""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import text

from shared import __version__
from shared.errors import ParleyError
from shared.jobs import experiment_end
from shared.jobs.states import Status
from shared.jobs.store import FencedTransaction
from shared.schemas.events import EventType
from workers.experiment.errors import BudgetExceededError
from workers.experiment.experiment import Experiment
from workers.experiment.result.build import build
from workers.experiment.result.canonical import digest
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
from workers.experiment.steps.journal import Standing
from workers.jobs.experiments.loading import Recorded, StoredRun

log = logging.getLogger(__name__)

_SQL = Path(__file__).parent / "sql"
_FINISH = text((_SQL / "finish.sql").read_text())

_EVENTS = {
    Status.SUCCEEDED: EventType.EXPERIMENT_FINISHED,
    Status.FAILED: EventType.ERROR,
    Status.CANCELLED: EventType.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Ending:
    """A result as it is kept, its digest, and what the last event tells of it."""

    result: dict[str, Any]
    digest: str
    told: dict[str, Any]


def ending_of(
    run: StoredRun,
    experiment: Experiment,
    standing: Standing,
    recorded: Recorded,
    status: Status,
    error: BaseException | None,
) -> Ending:
    """The result of a run that came to ``status``.

    Args:
        run: as it was loaded.
        experiment: how far it came.
        standing: what it took.
        recorded: every step, those of this attempt among them; of a replay, those of its source.
        status: of the job.
        error: what stopped it, if it did not come to its end.
    """
    counted = tally(recorded.steps.values())
    # A fork has the seed of its source written down.
    first = run.earlier[0][1] if run.earlier else run.config
    finished = FinishedRun(
        config=run.config,
        config_hash=run.config_hash,
        seed=run.seed,
        seed_source="derived" if first.seed is None else "config",
        status=_status(status, error),
        reason=_reason(status, error),
        phase_1=experiment.phase_1,
        phase_2=experiment.phase_2,
        standing=standing,
        spent=counted.spent(),
        models=_models(experiment.origins, counted.models),
        notes={role: tuple(notes) for role, notes in counted.notes.items()},
        degraded=experiment.degraded,
        counterfactuals=experiment.counterfactuals,
        aggregation=experiment.aggregation,
        versions={"parley": __version__, "python": platform.python_version()},
        times={path: StepTimes(began, ended) for path, (began, ended) in recorded.times.items()},
        experiment_id=str(run.experiment_id),
        name=run.config_file or run.name,
        lineage=_lineage(run),
        earlier=run.earlier,
        started_at=run.started_at or datetime.now(UTC),
        finished_at=datetime.now(UTC),
    )
    result = build(finished)
    general = result["general_information"]
    return Ending(
        result,
        digest(result),
        {
            "status": finished.status.value,
            "consensus_reached": general["consensus_reached"],
            "decided_by": general["decided_by"],
            "principle": general["decided_principle"],
            "amount": general["consensus_amount"],
            "rounds": general["rounds_conducted_phase_2"],
            **(general["status_reason"] or {}),
        },
    )


async def keep_ending(
    transaction: FencedTransaction, run: StoredRun, status: Status, ending: Ending
) -> tuple[dict[str, Any], int | None]:
    """Write the result and the last event; returns what the job's outcome tells, and the event's number."""
    matches = ending.digest == run.source_hash if run.replay and status is Status.SUCCEEDED else None
    told = {**ending.told, "result_hash": ending.digest}
    if matches is not None:
        told["matches_source"] = matches
    transaction.connection.later(
        _FINISH,
        {
            "experiment_id": run.experiment_id,
            "result": orjson.dumps(ending.result).decode(),
            "sha256": ending.digest,
            "matches_source": matches,
            "degraded": len(ending.result["run"]["degraded_services"]),
        },
    )
    number = await experiment_end.write(transaction.connection, transaction.job, _EVENTS[status], told)
    return {"experiment": told}, number


def _status(status: Status, error: BaseException | None) -> RunStatus:
    if status is Status.SUCCEEDED:
        return RunStatus.COMPLETE
    ordered = status is Status.CANCELLED or isinstance(error, BudgetExceededError)
    return RunStatus.INCOMPLETE if ordered else RunStatus.CRASHED


def _reason(status: Status, error: BaseException | None) -> Reason | None:
    if status is Status.SUCCEEDED:
        return None
    if isinstance(error, ParleyError):
        return Reason(error.code, error.detail)
    if status is Status.CANCELLED:
        return Reason("cancelled", "The run was cancelled.")
    return Reason("internal_error", "Something failed inside Parley.")


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


def _lineage(run: StoredRun) -> Lineage:
    source = None if run.source_id is None else str(run.source_id)
    if run.replay:
        return Lineage(replay_of=source)
    if run.fork_round is not None:
        return Lineage(forked_from=source, forked_round=run.fork_round)
    return Lineage()
