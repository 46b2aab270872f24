"""What came of a run: its result, its digest, and the event that ends it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import text

from shared.errors import ParleyError
from shared.jobs import experiment_end
from shared.jobs.states import Status
from shared.jobs.store import FencedTransaction
from shared.schemas.events import EventType
from workers.experiment.ending import finished_run
from workers.experiment.errors import BudgetExceededError
from workers.experiment.experiment import Experiment
from workers.experiment.result.build import build
from workers.experiment.result.canonical import digest
from workers.experiment.result.run import Reason, RunStatus
from workers.experiment.steps.journal import Standing
from workers.experiment.steps.log import Recorded
from workers.jobs.experiments.loading import StoredRun

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
    finished = finished_run(
        run, experiment, standing, recorded, _status(status, error), _reason(status, error)
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
