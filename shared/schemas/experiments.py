"""Experiments on the wire."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from shared.schemas.base import Wire
from shared.schemas.experiment.asked import SeedSource
from shared.schemas.job import AttemptOut, JobStatus
from shared.schemas.text import JsonObject, Name

ExperimentKind = Literal["run", "replay", "fork"]
ExperimentName = Annotated[Name, Field(max_length=200)]
#: A connection's name or id, or ``<connection>/<model>``.
ConnectionGiven = Annotated[Name, Field(max_length=400)]
Seed = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
Limit = Annotated[int, Field(ge=1, le=2**53, strict=True)]


class ExperimentCreate(Wire):
    """``POST /api/experiments`` and ``POST /api/experiments/validate``.

    ``seed`` counts before the configuration's own; ``seed_source`` says of it where it is from, for who sends
    seeds that the caller did not choose: else it is ``request``. ``connection`` (a name, an id, or
    ``<connection>/<model>``) answers for every role instead of the models that the configuration names.
    """

    name: ExperimentName | None = None
    config: JsonObject
    seed: Seed | None = None
    seed_source: SeedSource | None = None
    connection: ConnectionGiven | None = None


class ExperimentUpdate(Wire):
    """``PATCH /api/experiments/{id}``."""

    name: ExperimentName = Field(default="", validate_default=False)


class ExperimentAccepted(Wire):
    """An experiment that was accepted; ``session_id`` is its job's id."""

    experiment_id: uuid.UUID
    session_id: uuid.UUID
    events_url: str


class CallsExpected(Wire):
    """How many calls to models a configuration takes, re-asked answers not counted."""

    phase_1: int
    per_round: int
    minimum: int
    expected: int
    maximum: int


class RoleModel(Wire):
    """Which model answers for a role, over which of the caller's connections."""

    connection_id: uuid.UUID
    connection_name: str
    provider: str
    model: str


class RoleModels(Wire):
    """The models of a run: each agent's, and the utility agent's."""

    agents: dict[str, RoleModel]
    utility: RoleModel

    @property
    def names(self) -> dict[str | None, str]:
        """What each role's provider is asked for: by agent, and the utility agent's by ``None``."""
        return {**{name: role.model for name, role in self.agents.items()}, None: self.utility.model}


class ExperimentFault(Wire):
    """Something that is wrong with a configuration; ``line`` and ``column`` of a YAML that cannot be read."""

    field: str
    message: str
    line: int | None = None
    column: int | None = None


class ExperimentValidated(Wire):
    """What ``POST /api/experiments/validate`` found; what could not be worked out is null.

    ``cautions``: what is valid, stops no run, and may not be what was meant.
    """

    valid: bool
    errors: list[ExperimentFault]
    cautions: list[ExperimentFault] = Field(default_factory=list)
    calls: CallsExpected | None = None
    profile: str | None = None
    seed: int | None = None
    config_hash: str | None = None
    design_hash: str | None = None
    models: RoleModels | None = None


class ExperimentSummary(Wire):
    """An experiment in a list.

    ``session_id`` is its job's id, ``active`` whether something may still happen to it. ``round`` is the
    phase's, from 1. ``tokens`` counts both directions, ``seconds`` all attempts; ``seconds_left`` is an
    estimate. ``cost`` is in the currency of the connections' prices, null where one has none. ``degraded``:
    services that failed and that the run went on without. ``design_hash`` is shared by repetitions, whatever
    their seeds; null, as ``seed_source``, where it is not known. ``error`` is ``{code, message}`` of a failed
    one.
    """

    id: uuid.UUID
    session_id: uuid.UUID
    name: str
    kind: ExperimentKind
    source_id: uuid.UUID | None
    profile: str
    status: JobStatus
    active: bool
    attempt: int
    phase: int
    round: int
    progress: float
    calls: int
    reasked: int
    tokens: int
    input_tokens: int
    output_tokens: int
    seconds: float
    seconds_left: float | None
    cost: float | None
    degraded: int
    seed: int
    seed_source: SeedSource | None
    config_hash: str
    design_hash: str | None
    result_hash: str | None
    matches_source: bool | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: dict[str, Any] | None


class ExperimentOut(ExperimentSummary):
    """An experiment with its configuration and its attempts, oldest first.

    ``connection``: that the request named for every role. ``fork_round``, ``changes``: of a fork;
    ``source_configs`` tells what was in force in earlier rounds.
    ``failures``: attempts since the last resume that were lost or broke; ``last_failure``: the last of them.
    """

    config: dict[str, Any]
    config_file: str | None
    models: dict[str, Any]
    connection: str | None
    fork_round: int | None
    changes: dict[str, Any] | None
    source_configs: list[dict[str, Any]] | None
    has_result: bool
    queue_position: int | None
    failures: int
    last_failure: dict[str, Any] | None
    attempts: list[AttemptOut]


class ExperimentCancelled(Wire):
    """The reply to ``cancel``."""

    experiment_id: uuid.UUID
    session_id: uuid.UUID
    cancelled: bool
    status: JobStatus
    message: str


class BudgetChange(Wire):
    """Limits to put in place of those of the run; null takes one away, and one left out stays."""

    tokens: Limit | None = None
    calls: Limit | None = None
    seconds: Limit | None = None


class ExperimentResume(Wire):
    """``POST /api/experiments/{id}/resume``."""

    budget: BudgetChange | None = None


class ExperimentFork(Wire):
    """``POST /api/experiments/{id}/fork``: from ``round`` of the group on, ``changes`` (configuration keys)
    are in force; what was before is taken over. ``connection`` as in ``POST /api/experiments``.
    """

    round: Annotated[int, Field(ge=1, le=1000, strict=True)]
    changes: JsonObject = Field(default_factory=dict)
    name: ExperimentName | None = None
    connection: ConnectionGiven | None = None


class ExperimentReplay(Wire):
    """``POST /api/experiments/{id}/replay``."""

    name: ExperimentName | None = None
