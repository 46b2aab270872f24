"""Jobs as Celery's monitors see tasks: what is told of a job when it is begun, ended, or given up.

Celery's own tasks are wake-ups, whose ids and results say nothing about a job; they tell nothing. A job's
events bear its id, and never anything of what it is about.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Protocol

from shared.jobs.job import Job
from shared.jobs.states import JobKind, Phase, Status
from shared.jobs.wakeups import task_name

#: What an operator is told of an answer.
_TOLD = ("input_tokens", "output_tokens", "finish_reason")


class TaskEvents(Protocol):
    """Where events go: to whoever listens, through the broker."""

    @property
    def listening(self) -> bool:
        """Whether anybody listens."""

    def heed(self) -> None:
        """Somebody listens."""

    def send(self, event: str, fields: dict[str, Any]) -> None:
        """Send an event soon; returns at once, and never fails."""

    async def sent(self) -> None:
        """Return when what was sent before is with the broker, or after a moment."""


class JobTasks:
    """Tells how jobs go on; costs a look at a clock while nobody listens.

    Args:
        events: where it is told; ``None``: nowhere.
    """

    def __init__(self, events: TaskEvents | None = None) -> None:
        self._events = events

    @property
    def _listening(self) -> bool:
        return self._events is not None and self._events.listening

    def begun(self, job: Job, at: float) -> None:
        """An attempt at ``job`` began at ``at`` (seconds since the epoch)."""
        if not self._listening:
            return
        if job.attempt > 1:
            # Out of whatever state the earlier attempt left: a monitor heeds nothing else after an end.
            self._send("retried", job, exception=_why_again(job))
        self._send("received", job)
        self._send("started", job, timestamp=at, started=at)

    def ended(self, job: Job, at: float) -> None:
        """The attempt that began at ``at`` has ended ``job``, which stands as given."""
        if self._listening:
            self._tell_end(job, at)

    async def given_up(self, job: Job, why: str) -> None:
        """Another attempt will be made: told, before that one can begin."""
        if self._events is not None and self._listening:
            self._send("retried", job, exception=why)
            await self._events.sent()

    def report(self, job: Job) -> None:
        """How ``job`` ended, if it did so without being run."""
        if not self._listening or job.phase is not Phase.ENDED:
            return
        if job.started_at is None:
            self._send("received", job)
        self._tell_end(job, None)

    def _tell_end(self, job: Job, at: float | None) -> None:
        times: dict[str, Any] = {}
        if at is not None and job.ended_at is not None:
            times = {"started": at, "runtime": max(job.ended_at.timestamp() - at, 0.0)}
        if job.status is Status.SUCCEEDED:
            self._send("succeeded", job, result=_result(job), **times)
        elif job.status is Status.CANCELLED:
            self._send("revoked", job, terminated=at is not None, signum=None, expired=False, **times)
        else:
            code = (job.error or {}).get("code", "internal_error")
            self._send("failed", job, exception=code, traceback=None, **times)

    def _send(self, event: str, job: Job, **more: Any) -> None:
        assert self._events is not None
        self._events.send(f"task-{event}", {**described(job), **more})


def described(job: Job) -> dict[str, Any]:
    """What every event tells of its job, so that a monitor may begin at any of them."""
    about = {"job": str(job.id), "kind": job.kind.value, "owner": str(job.owner_id), "attempt": job.attempt}
    return {
        "uuid": str(job.id),
        "name": task_name(job.kind),
        "args": "()",
        "kwargs": json.dumps(about),
        "retries": max(job.attempt - 1, 0),
        "received": _seconds(job.created_at),
        "root_id": str(job.id),
        "parent_id": None,
        "eta": None,
        "expires": None,
    }


def _why_again(job: Job) -> str:
    code = (job.last_failure or {}).get("code")
    return str(code) if code else "another attempt"


def _result(job: Job) -> str:
    details = (job.outcome or {}).get("metadata") or {}
    told = {name: details[name] for name in _TOLD if details.get(name) is not None}
    chat = job.kind is JobKind.CHAT and job.post_response is not None
    stages = {"post_response": str(job.post_response)} if chat else {}
    return json.dumps({"outcome": job.status.value, **told, **stages})


def _seconds(moment: datetime) -> float:
    return moment.timestamp()
