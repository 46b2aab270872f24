"""What a run leaves behind for its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.terms import Principle
from workers.experiment.records import DiscussionRound, ManipulationRecord, Phase1Record, Phase2Record
from workers.experiment.result.usage import Spent
from workers.experiment.steps.journal import Standing


class RunStatus(StrEnum):
    """How a run ended; only a complete one says anything about agreement."""

    COMPLETE = "complete"
    #: Stopped in order: cancelled, or a budget was used up.
    INCOMPLETE = "incomplete"
    #: It failed: a provider stayed away, or something broke.
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a run is not complete: a stable code (``cancelled``, ``budget_exceeded``, …) and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What a million tokens cost, in the currency of the caller's prices."""

    input: Decimal
    output: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUsed:
    """What answered for a role.

    Attributes:
        requested: the name that the provider is asked for, whatever the configuration calls the model.
        answered: as the provider named it, each name that was seen, in the order of their first answer.
        digest: of the model's weights or its version, where the provider tells it.
        connection: the name of the caller's connection; ``None`` for the local default.
        provider: its kind: ``openai``, ``ollama``, ``local``, …
        prices: ``None`` when the connection has none.
    """

    requested: str
    answered: tuple[str, ...] = ()
    digest: str | None = None
    connection: str | None = None
    provider: str | None = None
    prices: Prices | None = None


@dataclass(frozen=True, slots=True)
class Degraded:
    """A service that failed and was done without: at which step, and what it said."""

    service: str
    step: str
    message: str


@dataclass(frozen=True, slots=True)
class StepTimes:
    """When a step was begun and when it was answered."""

    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialPhase2:
    """As far as the group came before the run stopped: the rounds that were finished."""

    rounds: tuple[DiscussionRound, ...] = ()
    agenda: tuple[Principle, ...] = ()
    manipulation: ManipulationRecord | None = None
    public_history: str = ""
    memory_growth: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where a run comes from: the run it replays, or the run and round that it forked from."""

    replay_of: str | None = None
    forked_from: str | None = None
    forked_round: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """Everything that the result of a run is made of.

    Attributes:
        config: as the run used it, to its end.
        document: the same as it was stored: a key that a later version adds is not in it, so that a replay
            there has the same digest. ``None``: as ``config`` has it.
        earlier: of a fork, what was in force before, as it was stored: the round from which on, and the
            configuration.
        config_hash: of :func:`~shared.schemas.experiment.identity.config_hash`.
        design_hash: of :func:`~shared.schemas.experiment.identity.design_hash`; ``None``: not known.
        seed: of every draw.
        seed_source: ``config`` of the file, ``request`` when it came with the request, ``derived`` when it
            follows from the configuration, ``drawn`` when whoever asked drew it.
        connection: that the request named for every role.
        status: of a run that is not complete ``reason`` says why.
        phase_1: of the agents that finished it, in the configuration's order.
        phase_2: ``None`` when the run did not come so far.
        standing: calls, tokens and seconds.
        spent: tokens by role, phase and round.
        models: by agent's name; the utility agent's under ``None``.
        notes: what was found out about a role's model: ``temperature_unsupported``, …
        degraded: services that failed, in the order of their steps.
        counterfactuals: of the counterfactuals service; ``None`` when there is no outcome, or it failed.
        aggregation: of the aggregation service, by checkpoint and method; likewise.
        step_log: the digest of the recorded steps (:func:`~workers.experiment.steps.log.log_digest`).
        versions: of Parley, Python and the prompts.
        times: of the steps, by path.
        experiment_id: what the service calls it.
        name: what its owner calls it.
        config_file: the file that the configuration came from, if it came from one.
    """

    config: ExperimentConfig
    config_hash: str
    seed: int
    status: RunStatus
    standing: Standing
    document: Mapping[str, Any] | None = None
    earlier: tuple[tuple[int, Mapping[str, Any]], ...] = ()
    design_hash: str | None = None
    seed_source: str = "derived"
    connection: str | None = None
    reason: Reason | None = None
    phase_1: tuple[Phase1Record, ...] = ()
    phase_2: Phase2Record | PartialPhase2 | None = None
    spent: tuple[Spent, ...] = ()
    models: Mapping[str | None, ModelUsed] = field(default_factory=dict)
    notes: Mapping[str | None, tuple[str, ...]] = field(default_factory=dict)
    degraded: tuple[Degraded, ...] = ()
    counterfactuals: Mapping[str, Any] | None = None
    aggregation: Mapping[str, Any] | None = None
    step_log: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    times: Mapping[str, StepTimes] = field(default_factory=dict)
    experiment_id: str | None = None
    name: str | None = None
    config_file: str | None = None
    lineage: Lineage = field(default_factory=Lineage)
    started_at: datetime | None = None
    finished_at: datetime | None = None
