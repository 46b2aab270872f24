"""A run: its agents and services made, phase 1, phase 2, and what the two together say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.schemas.events import EventType
from shared.schemas.experiment.config import ExperimentConfig
from workers.experiment.agents.participant import ParticipantAgent, make_agents
from workers.experiment.agents.utility import UtilityAgent
from workers.experiment.degrade import degrade
from workers.experiment.languages.manager import load
from workers.experiment.phase1 import Phase1Manager
from workers.experiment.phase2 import Phase2Manager
from workers.experiment.records import Phase1Record, Phase2Record, Ranking
from workers.experiment.result.run import Degraded, PartialPhase2
from workers.experiment.services.counterfactuals_service import CounterfactualsService
from workers.experiment.services.discussion_service import DiscussionService
from workers.experiment.services.manipulator_service import ManipulatorService
from workers.experiment.services.memory_service import MemoryService
from workers.experiment.services.payoffs import PayoffService
from workers.experiment.services.phase2_services import Phase2Services
from workers.experiment.services.preference_aggregation_service import PreferenceAggregationService
from workers.experiment.services.speaking_order_service import SpeakingOrderService
from workers.experiment.services.voting_service import VotingService
from workers.experiment.steps.journal import Journal
from workers.experiment.steps.key import StepKey

#: Where what follows phase 2 is noted.
_ANALYSIS = StepKey(2, None, None, "analysis")


class Experiment:
    """One run over its journal.

    Args:
        config: in force at the end of the run.
        journal: of the run.
        earlier: of a fork, what was in force before: ``(from round, configuration)``, oldest first; the first
            is that of phase 1, too. ``config`` is in force from round ``since`` on.
        since: see ``earlier``.

    Attributes:
        counterfactuals: what would have been, when there is an outcome.
        aggregation: what the agents' rankings add up to, by checkpoint and method.
        origins: which models the run is made with.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        journal: Journal,
        *,
        earlier: Sequence[tuple[int, ExperimentConfig]] = (),
        since: int | None = None,
    ) -> None:
        first = earlier[0][1] if earlier else config
        self._journal = journal
        self._utility = UtilityAgent(journal, first, load(first.language))
        self._agents = make_agents(first, journal, self._utility)
        self._services = self._make_services(first, since=None)
        self._last_services = self._services
        later: dict[int, tuple[ExperimentConfig, Phase2Services]] = {}
        for from_round, changed in (*earlier[1:], *(((since, config),) if since is not None else ())):
            self._last_services = self._make_services(changed, since=from_round)
            later[from_round] = (changed, self._last_services)
        self._alone = Phase1Manager(
            first, self._agents, journal, self._services.payoffs, self._services.memory
        )
        self._group = Phase2Manager(first, self._agents, journal, self._services, later=later)
        self._aggregation = PreferenceAggregationService(first, journal)
        self._phase_2: Phase2Record | None = None
        self.counterfactuals: Mapping[str, Any] | None = None
        self.aggregation: Mapping[str, Any] | None = None
        self.origins: list[dict[str, Any]] = []

    async def run(self) -> None:
        """Run it to its end.

        Raises:
            ParleyError: a provider cannot be reached, or the budget is used up; the run can be resumed.
        """
        journal = self._journal
        journal.enter(1)
        journal.emit("phase/1/started", EventType.PHASE, {"phase": 1, "state": "started"})
        phase_1 = await self._alone.run()
        journal.emit("phase/1/finished", EventType.PHASE, {"phase": 1, "state": "finished"})
        journal.enter(2)
        journal.emit("phase/2/started", EventType.PHASE, {"phase": 2, "state": "started"})
        self._phase_2 = await self._group.run(phase_1)
        journal.emit("phase/2/finished", EventType.PHASE, {"phase": 2, "state": "finished"})
        await self._analyse(self._phase_2)
        journal.complete()

    @property
    def phase_1(self) -> tuple[Phase1Record, ...]:
        """What the agents did alone: those that have finished it, in the configuration's order."""
        return self._alone.finished

    @property
    def phase_2(self) -> Phase2Record | PartialPhase2 | None:
        """What the group did: all of it, or the rounds that were finished when the run stopped."""
        return self._phase_2 or self._group.partial

    @property
    def degraded(self) -> tuple[Degraded, ...]:
        """The services that failed and were done without, in the order of their steps."""
        told = sorted(self._journal.degraded, key=lambda entry: (entry["step"], entry["service"]))
        return tuple(Degraded(entry["service"], entry["step"], entry["message"]) for entry in told)

    async def _analyse(self, group: Phase2Record) -> None:
        counterfactuals = self._last_services.counterfactuals

        async def what_would_have_been() -> Mapping[str, Any]:
            return counterfactuals.generate_counterfactual_analysis(group.outcome)

        async def what_they_prefer() -> Mapping[str, Any]:
            return self._aggregation.analyse(self._checkpoints(group))

        self.counterfactuals = await degrade(
            self._journal, "counterfactuals", _ANALYSIS.part("counterfactuals"), what_would_have_been(), None
        )
        self.aggregation = await degrade(
            self._journal, "preference_aggregation", _ANALYSIS.part("aggregation"), what_they_prefer(), None
        )

    def _checkpoints(self, group: Phase2Record) -> dict[str, dict[str, Ranking]]:
        """The rankings of each checkpoint, by agent; those that could not be read are not there."""
        records = {
            "initial": {alone.agent: alone.initial_ranking for alone in self.phase_1},
            "post_explanation": {alone.agent: alone.ranking_2 for alone in self.phase_1},
            "post_application": {alone.agent: alone.ranking_3 for alone in self.phase_1},
            "final": dict(group.final_rankings),
        }
        return {
            checkpoint: {
                agent: record.ranking for agent, record in by_agent.items() if record.ranking is not None
            }
            for checkpoint, by_agent in records.items()
        }

    def _make_services(self, config: ExperimentConfig, *, since: int | None) -> Phase2Services:
        agents: tuple[ParticipantAgent, ...] = self._agents
        journal, utility = self._journal, self._utility
        text = load(config.language)
        payoffs = PayoffService(config, journal)
        aggregation = PreferenceAggregationService(config, journal)
        return Phase2Services(
            speaking_order=SpeakingOrderService(config, journal),
            discussion=DiscussionService(config, agents, journal, utility, text),
            voting=VotingService(config, agents, journal, text),
            memory=MemoryService(config, journal, utility),
            counterfactuals=CounterfactualsService(config, journal, payoffs),
            payoffs=payoffs,
            manipulator=ManipulatorService(config, agents, journal, aggregation, since=since),
            utility=utility,
        )
