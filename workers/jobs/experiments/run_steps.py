"""The steps and events of one run, as rows that wait to be written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from shared.jobs.store import AttemptLostError
from workers.experiment.steps.journal import RunEvent, Standing, StepRecord


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Whose steps they are, and by which right they are written."""

    experiment_id: UUID
    job_id: UUID
    attempt: int

    @property
    def columns(self) -> dict[str, Any]:
        """What every row of the run carries."""
        return {
            "experiment_id": str(self.experiment_id),
            "job_id": str(self.job_id),
            "attempt": self.attempt,
        }


@dataclass(slots=True)
class Batch:
    """What one run has to be written, and who waits for it."""

    run: RunSteps
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    standing: dict[str, Any] | None = None
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def settle(self, error: BaseException | None) -> None:
        """Tell those who wait."""
        for future in self.waiting:
            if not future.done():
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)


class RunSteps:
    """The :class:`~workers.experiment.steps.journal.StepStore` of one attempt.

    Args:
        identity: whose steps.
        told: the keys of the events that earlier attempts told.
        changed: called when there is something to be written, and with whether somebody waits for it.
        on_fenced: called when another attempt holds the job.
        cost: what the run has cost so far, in the currency of the connections' prices.
    """

    def __init__(
        self,
        identity: RunIdentity,
        *,
        told: set[str],
        changed: Callable[[RunSteps, bool], None],
        on_fenced: Callable[[], None],
        cost: Callable[[], float | None],
    ) -> None:
        self.identity = identity
        self._told = told
        self._changed = changed
        self._on_fenced = on_fenced
        self._cost = cost
        self._batch = Batch(self)
        #: When the calls in flight were begun.
        self._begun: dict[str, str] = {}
        self._failure: BaseException | None = None

    async def begin(self, step: StepRecord) -> None:
        """Return when the intent is stored.

        Raises:
            AttemptLostError: another attempt holds the job.
        """
        self._begun[step.key.path] = now = _now()
        self._put(step, {**_intent(step), "started_at": now})
        await self.flush()

    def end(self, step: StepRecord) -> None:
        """The step is complete; it is written soon."""
        row = _answered(step, self._begun.pop(step.key.path, None))
        waits = self._batch.steps.get(step.key.path)
        self._put(step, {**(waits or {}), **row})

    def emit(self, event: RunEvent) -> None:
        """Tell an event, unless its key was told before."""
        if event.key in self._told:
            return
        self._told.add(event.key)
        self._batch.events.append(
            {
                **self.identity.columns,
                "position": len(self._batch.events),
                "key": event.key,
                "type": event.type.value,
                "data": event.data,
            }
        )
        self._changed(self, False)

    def stand(self, standing: Standing) -> None:
        """How far the run is now."""
        self._batch.standing = {**self.identity.columns, **asdict(standing), "cost": self._cost()}
        self._changed(self, False)

    async def flush(self) -> None:
        """Return when everything that was handed over is stored.

        Raises:
            AttemptLostError: another attempt holds the job.
        """
        if self._failure is not None:
            raise self._failure
        future = asyncio.get_running_loop().create_future()
        self._batch.waiting.append(future)
        self._changed(self, True)
        await future

    def take(self) -> Batch:
        """What is to be written now; what comes later is another batch."""
        batch, self._batch = self._batch, Batch(self)
        return batch

    def lose(self) -> BaseException:
        """Another attempt holds the job: nothing more is written."""
        if self._failure is None:
            self._failure = AttemptLostError(f"{self.identity.job_id}:{self.identity.attempt}")
            self._on_fenced()
        return self._failure

    def fail(self, error: BaseException) -> BaseException:
        """Postgres refuses what was to be written: the run must not go on without it."""
        self._failure = self._failure or error
        return self._failure

    def _put(self, step: StepRecord, row: dict[str, Any]) -> None:
        self._batch.steps[step.key.path] = {**self.identity.columns, **row}
        self._changed(self, False)


def _intent(step: StepRecord) -> dict[str, Any]:
    key = step.key
    return {
        "path": key.path,
        "phase": key.phase,
        "round": key.round,
        "agent": key.agent,
        "purpose": key.purpose,
        "tried": key.tried,
        "kind": step.kind.value,
        "role": step.role,
        "system_prompt": step.system,
        "user_prompt": step.user,
        "prompt_hash": step.prompt_hash,
        "schema_name": step.schema_name,
        "sends": step.sends,
    }


def _answered(step: StepRecord, begun: str | None) -> dict[str, Any]:
    now = _now()
    row = {
        **_intent(step),
        "value": step.value,
        "unreadable": step.unreadable,
        "started_at": begun or now,
        "answered_at": now,
    }
    # The prompt is there already.
    del row["system_prompt"], row["user_prompt"]
    answer = step.answer
    if answer is None:
        return row
    return row | {
        "model": answer.model,
        "outcome": answer.outcome.value,
        "answer": answer.text,
        "notes": list(answer.notes) or None,
        "input_tokens": answer.input_tokens,
        "output_tokens": answer.output_tokens,
        "seconds": answer.seconds,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat()
