"""Accepting an experiment: committed, a worker woken, answered with where it is followed."""

from __future__ import annotations

import logging
import uuid

from fastapi import Response

from gateway.experiments.showing import accepted
from gateway.state import GatewayState
from shared.errors import ShuttingDownError
from shared.jobs.accept import find_remembered
from shared.jobs.experiment_end import experiment_of
from shared.jobs.experiments import NewExperiment, accept_experiment
from shared.jobs.job import Job
from shared.jobs.new_turn import Once
from shared.logging import log_context

logger = logging.getLogger(__name__)


async def repeated(state: GatewayState, owner_id: uuid.UUID, once: Once | None) -> Response | None:
    """The answer to a request that was answered before, whatever it names has become of meanwhile.

    Raises:
        IdempotencyKeyReusedError: the key was used with another body.
    """
    if once is None:
        return None
    job = await find_remembered(state.engine, owner_id, once)
    return None if job is None else _answer(job, joined=True)


async def accept(state: GatewayState, new: NewExperiment) -> Response:
    """The answer to a request that makes an experiment, once for each ``Idempotency-Key``.

    Raises:
        IdempotencyKeyReusedError: the key was used with another body.
        ValidationError: a fork from a round that its source has not come to.
    """
    if state.stopping.is_set():
        raise ShuttingDownError(headers={"Retry-After": "1"})
    acceptance = await accept_experiment(state.engine, new)
    job = acceptance.job
    if not acceptance.joined:
        with log_context(session_id=job.id):
            logger.info("experiment accepted", extra={"kind": new.kind})
        state.jobs.spawn(state.jobs.wakeups.send(job.kind, job.id))
    return _answer(job, joined=acceptance.joined)


def _answer(job: Job, *, joined: bool) -> Response:
    told = accepted(experiment_of(job), job.id)
    headers = {"X-Session-ID": str(job.id), "Location": f"/api/experiments/{told.experiment_id}"}
    if joined:
        headers["Idempotent-Replayed"] = "true"
    return Response(told.model_dump_json(), status_code=202, media_type="application/json", headers=headers)
