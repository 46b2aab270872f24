"""What phase 2 is run with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shared.schemas.experiment.terms import Principle
from workers.experiment.services.protocols import (
    CounterfactualsProtocol,
    DiscussionProtocol,
    ManipulatorProtocol,
    MemoryProtocol,
    PayoffsProtocol,
    SpeakingOrderProtocol,
    VotingProtocol,
)
from workers.experiment.steps.key import StepKey


class FavouredProtocol(Protocol):
    """Reads statements for the record; the utility agent does."""

    async def favoured_principle(self, key: StepKey, statement: str) -> Principle | None:
        """The principle that a statement speaks for, if any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase2Services:
    """The services of a run's second phase, each made once."""

    speaking_order: SpeakingOrderProtocol
    discussion: DiscussionProtocol
    voting: VotingProtocol
    memory: MemoryProtocol
    counterfactuals: CounterfactualsProtocol
    payoffs: PayoffsProtocol
    manipulator: ManipulatorProtocol
    utility: FavouredProtocol
