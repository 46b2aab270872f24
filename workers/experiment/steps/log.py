"""The step log of a run as a whole: what is recorded of it, and what identifies it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workers.experiment.steps.journal import StepKind, StepRecord
from workers.experiment.steps.key import StepKey
from workers.experiment.steps.model_call import ModelAnswer, StepOutcome

#: Where a run notes which models it is made with.
ORIGINS = StepKey(0, None, None, "models")
#: Of :data:`ORIGINS`: settings of the connections, which say nothing about the run.
_SETTINGS = frozenset({"connection", "prices"})


@dataclass(frozen=True, slots=True)
class Recorded:
    """The steps that are there already.

    Attributes:
        steps: by path.
        times: by path, when each was begun and answered.
    """

    steps: dict[str, StepRecord]
    times: dict[str, tuple[datetime | None, datetime | None]]


def recorded_step(row: Any) -> StepRecord:
    """A step from what is stored of it.

    Args:
        row: of the database, or a line of an exported run: both have these names.
    """
    answer = None
    if row.outcome is not None:
        answer = ModelAnswer(
            outcome=StepOutcome(row.outcome),
            text=row.answer or "",
            model=row.model,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            seconds=row.seconds or 0.0,
            notes=tuple(row.notes or ()),
        )
    return StepRecord(
        key=StepKey(row.phase, row.round, row.agent, row.purpose, row.tried),
        kind=StepKind(row.kind),
        role=row.role,
        schema_name=row.schema_name,
        prompt_hash=row.prompt_hash,
        sends=row.sends,
        answer=answer,
        value=row.value,
        unreadable=row.unreadable,
    )


def log_digest(steps: Iterable[StepRecord]) -> str:
    """SHA-256 (hex) of the steps in the order of their paths, a line of canonical JSON (:func:`line`) each.

    Raises:
        ValueError: a number is infinite or none at all.
    """
    whole = hashlib.sha256()
    for step in sorted(steps, key=lambda step: step.key.path):
        whole.update(line(step))
    return whole.hexdigest()


def line(step: StepRecord) -> bytes:
    """A step without what differs between two runs of the same answers: times, durations, how often a call
    was sent, and which role was the first to find out what its model does not take. The prompts are there as
    their hash.
    """
    answer = step.answer
    told = {
        "path": step.key.path,
        "kind": step.kind.value,
        "role": step.role,
        "schema_name": step.schema_name,
        "prompt_hash": step.prompt_hash,
        "outcome": None if answer is None else answer.outcome.value,
        "answer": None if answer is None else answer.text,
        "model": None if answer is None else answer.model,
        "input_tokens": None if answer is None else answer.input_tokens,
        "output_tokens": None if answer is None else answer.output_tokens,
        "value": _origins(step.value) if step.key == ORIGINS else step.value,
        "unreadable": step.unreadable,
    }
    text = json.dumps(
        _whole(told), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8", "surrogatepass") + b"\n"


def _origins(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [
        {key: item for key, item in origin.items() if key not in _SETTINGS}
        if isinstance(origin, Mapping)
        else origin
        for origin in value
    ]


def _whole(value: Any) -> Any:
    """A number that is whole has one form, whatever store it was in."""
    if isinstance(value, Mapping):
        return {str(key): _whole(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_whole(item) for item in value]
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return value
