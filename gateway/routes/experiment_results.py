"""What came of an experiment: its result, its transcript, its report."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse

from gateway.dependencies import CallerOf, State
from gateway.experiments.visibility import visible
from gateway.queries import ask
from gateway.routes.experiments import found, recorded
from gateway.routing import make_router
from gateway.state import GatewayState
from shared.database.models import Experiment, ExperimentResult, ExperimentStep
from shared.database.repositories import experiment_steps, experiments
from shared.errors import ResultNotReadyError
from shared.jobs.job import Job
from shared.jobs.states import Status
from shared.schemas.experiment.transcript import TranscriptOptions, json_lines, markdown
from shared.schemas.queries import QueryOperation

router = make_router("/experiments", "experiments")

#: Steps that are read at once.
PAGE = 200
#: A report shows what models wrote: nothing in it may run, load or send.
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)

TranscriptFormat = Literal["jsonl", "markdown"]
_MEDIA_TYPES = {"jsonl": "application/jsonl", "markdown": "text/markdown; charset=utf-8"}
_ENDINGS = {"jsonl": "jsonl", "markdown": "md"}


@router.get("/{experiment_id}/result", response_class=Response)
async def get_result(experiment_id: uuid.UUID, state: State, caller: CallerOf) -> Response:
    """The result as JSON, byte for byte as the run made it.

    That of a run which did not come to its end says so within, and in `X-Experiment-Status`.
    """
    row, job = await found(state, caller, experiment_id)
    result = await ready_result(state, row, job)
    return Response(
        result.result,
        media_type="application/json",
        headers={
            "ETag": f'"{result.sha256}"',
            "X-Result-SHA256": result.sha256,
            "X-Experiment-Status": job.shown_status,
            "Content-Disposition": f'attachment; filename="experiment-{row.id}.json"',
        },
    )


@router.get("/{experiment_id}/transcript", response_class=Response)
async def get_transcript(
    experiment_id: uuid.UUID,
    state: State,
    caller: CallerOf,
    format: TranscriptFormat = "jsonl",
    include_memory_updates: Annotated[bool | None, Query()] = None,
    include_instructions: Annotated[bool | None, Query()] = None,
    include_input_prompts: Annotated[bool | None, Query()] = None,
    include_agent_responses: Annotated[bool | None, Query()] = None,
) -> Response:
    """Every step so far: what was asked, what was answered, what was read in it, what was drawn.

    What it holds is as `transcript_logging` of the configuration says, unless the query does. While a phase
    goes on, private reasoning, ballots and memories of it are left out.
    """
    row, job = await found(state, caller, experiment_id)
    source = await recorded(state, caller, row)
    given = {
        "memory_updates": include_memory_updates,
        "instructions": include_instructions,
        "input_prompts": include_input_prompts,
        "agent_responses": include_agent_responses,
    }
    configured = row.config.get("transcript_logging") or {}
    options = TranscriptOptions(
        **{
            name: bool(configured.get(f"include_{name}", getattr(TranscriptOptions(), name)))
            if value is None
            else value
            for name, value in given.items()
        }
    )
    # What a replay shows is what its source recorded, which had ended.
    pages = _pages(state, source, ended=job.ended or source is not row)
    lines = _json_lines(pages, options) if format == "jsonl" else _markdown(pages, options, row.name)
    return StreamingResponse(
        lines,
        media_type=_MEDIA_TYPES[format],
        headers={
            "Content-Disposition": f'inline; filename="experiment-{row.id}.{_ENDINGS[format]}"',
            "X-Content-Type-Options": "nosniff",
        },
    )


@router.get("/{experiment_id}/report", response_class=Response)
async def get_report(experiment_id: uuid.UUID, http: Request, state: State, caller: CallerOf) -> Response:
    """The report: one HTML page with its pictures in it, that loads nothing and runs nothing."""
    row, job = await found(state, caller, experiment_id)
    await ready_result(state, row, job)
    made = await ask(http, state, caller.user_id, QueryOperation.EXPERIMENT_REPORT, experiment_id=str(row.id))
    return Response(
        made["html"],
        media_type="text/html; charset=utf-8",
        headers={
            "Content-Security-Policy": REPORT_POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        },
    )


async def ready_result(state: GatewayState, row: Experiment, job: Job) -> ExperimentResult:
    """What came of the run.

    Raises:
        ResultNotReadyError: nothing did so far.
    """
    async with state.sessions() as session:
        result = await experiments.result(session, row.id)
    if result is not None:
        return result
    if not job.ended:
        raise ResultNotReadyError(
            f"The experiment is {job.shown_status}; follow it at /api/experiments/{row.id}/events."
        )
    why = (
        f"failed ({(job.error or {}).get('code', 'internal_error')})"
        if job.status is Status.FAILED
        else "was cancelled"
    )
    raise ResultNotReadyError(
        f"The run {why} before there was a result; POST /api/experiments/{row.id}/resume goes on from its "
        "last step."
    )


async def _pages(
    state: GatewayState, source: Experiment, *, ended: bool
) -> AsyncIterator[list[ExperimentStep]]:
    """The steps that may be shown; no session is held while they are sent."""
    last = 0
    while True:
        async with state.sessions() as session:
            rows = await experiment_steps.page(session, source.id, limit=PAGE, after=last)
        if rows:
            last = rows[-1].id
            yield list(visible(rows, phase=source.phase, ended=ended))
        if len(rows) < PAGE:
            return


async def _json_lines(
    pages: AsyncIterator[list[ExperimentStep]], options: TranscriptOptions
) -> AsyncIterator[str]:
    async for steps in pages:
        yield await asyncio.to_thread(_joined_lines, steps, options)


def _joined_lines(steps: list[ExperimentStep], options: TranscriptOptions) -> str:
    return "".join(json_lines(steps, options))


async def _markdown(
    pages: AsyncIterator[list[ExperimentStep]], options: TranscriptOptions, title: str
) -> AsyncIterator[str]:
    """It is told by agent and by round, so that all steps are read first."""
    steps = [step async for page in pages for step in page]

    def told() -> str:
        return "".join(markdown(steps, options, title=title))

    yield await asyncio.to_thread(told)
