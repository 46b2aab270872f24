"""What a run recorded, for whoever checks it elsewhere: its step log, and the whole run as one file."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence

from fastapi import Response
from fastapi.responses import StreamingResponse

from gateway.dependencies import CallerOf, State
from gateway.experiments.visibility import visible
from gateway.routes.experiment_results import PAGE, ready_result
from gateway.routes.experiments import found, recorded
from gateway.routing import make_router
from gateway.state import GatewayState
from shared import __version__
from shared.database.models import Experiment, ExperimentResult, ExperimentStep
from shared.database.repositories import experiment_steps
from shared.errors import ResultNotReadyError
from shared.jobs.job import Job
from shared.schemas.experiment.archive import end_line, header_line, step_line

router = make_router("/experiments", "experiments")


@router.get("/{experiment_id}/steps", response_class=Response)
async def get_steps(experiment_id: uuid.UUID, state: State, caller: CallerOf) -> Response:
    """The step log as JSON lines, in the order of the paths: each step with all that is recorded of it.

    While a phase goes on, private reasoning, ballots and memories of it are left out. Of a replay they are
    the steps of the run that it replays.
    """
    row, job = await found(state, caller, experiment_id)
    source = await recorded(state, caller, row)
    ids = await _in_order(state, source)
    ended = job.ended or source is not row
    return _file(_lines(state, source, ids, ended=ended), f"experiment-{row.id}-steps.jsonl")


@router.get("/{experiment_id}/export", response_class=Response)
async def export(experiment_id: uuid.UUID, state: State, caller: CallerOf) -> Response:
    """The whole run as one file of JSON lines: what was run, every step, the result.

    `parley experiment verify` repeats it without a service, a database or a model.
    """
    row, job = await found(state, caller, experiment_id)
    result = await ready_result(state, row, job)
    if not job.ended:
        raise ResultNotReadyError(
            f"The experiment is {job.shown_status}; it can be exported when it has ended."
        )
    source = await recorded(state, caller, row)
    ids = await _in_order(state, source)
    return _file(_whole(state, row, job, source, ids, result), f"experiment-{row.id}.jsonl")


def _file(lines: AsyncIterator[bytes], name: str) -> StreamingResponse:
    return StreamingResponse(
        lines,
        media_type="application/jsonl",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Content-Type-Options": "nosniff",
        },
    )


async def _in_order(state: GatewayState, source: Experiment) -> list[int]:
    async with state.sessions() as session:
        return await experiment_steps.in_order_of_paths(session, source.id)


async def _lines(
    state: GatewayState, source: Experiment, ids: Sequence[int], *, ended: bool
) -> AsyncIterator[bytes]:
    """The steps that may be shown; no session is held while they are sent."""
    for begin in range(0, len(ids), PAGE):
        async with state.sessions() as session:
            steps = await experiment_steps.these(session, ids[begin : begin + PAGE])
        yield await asyncio.to_thread(_joined, steps, source.phase, ended)


def _joined(steps: Sequence[ExperimentStep], phase: int, ended: bool) -> bytes:
    return b"".join(step_line(step) for step in visible(steps, phase=phase, ended=ended))


async def _whole(
    state: GatewayState,
    row: Experiment,
    job: Job,
    source: Experiment,
    ids: Sequence[int],
    result: ExperimentResult,
) -> AsyncIterator[bytes]:
    yield header_line(
        {
            "parley": __version__,
            "experiment_id": row.id,
            "name": row.name,
            "kind": row.kind,
            "status": job.shown_status,
            "source_id": row.source_id,
            "config": row.config,
            "config_source": row.config_source,
            "config_file": row.config_file,
            "config_hash": row.config_hash,
            "seed": row.seed,
            "models": row.models,
            "fork_round": row.fork_round,
            "changes": row.changes,
            "source_configs": row.source_configs,
            "created_at": row.created_at,
            "started_at": row.started_at,
            "result_sha256": result.sha256,
        }
    )
    async for lines in _lines(state, source, ids, ended=True):
        yield lines
    yield await asyncio.to_thread(end_line, len(ids), result.sha256, result.result)
