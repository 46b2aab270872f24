"""The caller's jobs: listed, looked into, retried."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import Query

from gateway.dependencies import CallerOf, PagingOf, State
from gateway.pagination import by_time
from gateway.routing import make_router
from gateway.state import GatewayState
from shared.database.repositories import experiments
from shared.errors import SecretErasedError, ValidationError
from shared.jobs import listing
from shared.jobs.experiment_end import experiment_of
from shared.jobs.job import Job
from shared.jobs.retry import retry
from shared.jobs.states import JobKind, Phase
from shared.schemas.job import AttemptOut, JobOut, JobRetry, JobStatus, JobSummary
from shared.schemas.page import Page

router = make_router("/jobs", "jobs")


@router.get("")
async def list_jobs(
    state: State,
    caller: CallerOf,
    paging: PagingOf,
    kind: Annotated[JobKind | None, Query(description="default: all but queries")] = None,
    status: Annotated[JobStatus | None, Query()] = None,
) -> Page[JobSummary]:
    """The caller's jobs, newest first. Queries, the short operations that the gateway waits for, are listed
    when they are asked for by their kind.
    """
    rows = await listing.list_jobs(
        state.engine,
        caller.user_id,
        limit=paging.fetch,
        after=paging.position(),
        kind=kind,
        status=status,
    )
    return paging.page(rows, lambda job: JobSummary.model_validate(_summary(job)), by_time)


@router.get("/{job_id}")
async def get_job(job_id: uuid.UUID, state: State, caller: CallerOf) -> JobOut:
    """One job with its attempts."""
    return await _show(state, await state.jobs.store.owned(job_id, caller.user_id))


@router.post("/{job_id}/retry", status_code=202)
async def retry_job(
    job_id: uuid.UUID, state: State, caller: CallerOf, body: JobRetry | None = None
) -> JobOut:
    """Queue a failed or cancelled job again; its events go on under later ids.

    Secrets that came with the request were erased when the job ended and must be sent again.
    """
    job = await state.jobs.store.owned(job_id, caller.user_id)
    if job.kind is JobKind.EXPERIMENT:
        async with state.sessions() as session:
            # One that its owner has deleted does not come back to life.
            await experiments.get(session, caller.user_id, experiment_of(job))
    secret = _secret(state, job, body or JobRetry()) if job.ended else None
    return await _show(state, await retry(state.jobs.store, state.jobs.log, state.jobs.wakeups, job, secret))


def _secret(state: GatewayState, job: Job, sent: JobRetry) -> bytes | None:
    """The secrets sent along, encrypted; all that the job came with, and no others."""
    secrets: dict[str, Any] = {}
    if sent.api_key is not None:
        secrets["api_key"] = sent.api_key.get_secret_value()
    if sent.extra_headers:
        secrets["extra_headers"] = sent.extra_headers
    erased = set(job.payload.get("own_provider_secrets", ()))
    if surplus := sorted(secrets.keys() - erased):
        message = "did not come with this job; leave it out"
        raise ValidationError(
            f"{surplus[0]} {message}", errors=[{"field": name, "message": message} for name in surplus]
        )
    if secrets and (missing := sorted(erased - secrets.keys())):
        raise SecretErasedError(
            "What came with this job in secret was erased when it ended; send again, too: "
            + ", ".join(missing),
            errors=[{"field": name, "message": "is missing"} for name in missing],
        )
    return state.box.encrypt(secrets) if secrets else None


async def _show(state: GatewayState, job: Job) -> JobOut:
    outcome = job.outcome or {}
    queued = job.phase in (Phase.READY, Phase.WAITING)
    return JobOut(
        **_summary(job),
        message_id=job.message_id,
        user_message_id=job.user_message_id,
        queue_position=await state.jobs.store.queue_position(job.id) if queued else None,
        failures=job.failures,
        last_failure=job.last_failure,
        metadata=outcome.get("metadata", {}),
        result=outcome.get("result"),
        attempts=[
            AttemptOut(
                attempt=attempt.attempt,
                worker=attempt.worker,
                started_at=attempt.started_at,
                finished_at=attempt.finished_at,
                outcome=attempt.outcome.value if attempt.outcome else None,
            )
            for attempt in await listing.attempts(state.engine, job.id)
        ],
    )


def _summary(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind.value,
        "status": job.shown_status,
        "active": not job.ended,
        "attempt": job.attempt,
        "post_response": job.post_response.value if job.post_response else None,
        "conversation_id": job.conversation_id,
        "experiment_id": job.payload.get("experiment_id") if job.kind is JobKind.EXPERIMENT else None,
        "operation": job.payload.get("operation") if job.kind is JobKind.QUERY else None,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "error": job.error,
    }
