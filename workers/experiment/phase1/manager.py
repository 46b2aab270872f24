"""The manager of phase 1: every agent goes through it by itself, all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workers.experiment.agents.participant import ParticipantAgent
from workers.experiment.phase1.participation import Participation
from workers.experiment.records import Phase1Record
from workers.experiment.services.protocols import MemoryProtocol, PayoffsProtocol
from workers.experiment.steps.journal import Journal
from workers.experiment.together import together

if TYPE_CHECKING:
    from shared.schemas.experiment.config import ExperimentConfig


class Phase1Manager:
    """Leads the agents through phase 1; nothing that one of them does reaches another.

    Args:
        config: of the run.
        agents: in the configuration's order; their memories and balances are carried on.
        journal: of the run.
        payoffs: makes the distributions, and pays.
        memory: keeps what agents remember.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        agents: Sequence[ParticipantAgent],
        journal: Journal,
        payoffs: PayoffsProtocol,
        memory: MemoryProtocol,
    ) -> None:
        self._config = config
        self._agents = tuple(agents)
        self._journal = journal
        self._payoffs = payoffs
        self._memory = memory
        self._done: dict[str, Phase1Record] = {}

    async def run(self) -> tuple[Phase1Record, ...]:
        """What each agent did, in their order.

        Raises:
            ParleyError: a provider is away, or a budget used up; what was done is in the journal.
        """
        await together(self._lead(agent) for agent in self._agents)
        return self.finished

    @property
    def finished(self) -> tuple[Phase1Record, ...]:
        """What the agents did that have finished, in their order: not all of them when the run stopped."""
        return tuple(self._done[agent.name] for agent in self._agents if agent.name in self._done)

    async def _lead(self, agent: ParticipantAgent) -> None:
        alone = Participation(self._config, agent, self._journal, self._payoffs, self._memory)
        self._done[agent.name] = await alone.run()
