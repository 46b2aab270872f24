"""The end of phase 2: what was decided is paid, told and remembered, and everybody ranks once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.schemas.events import EventType
from workers.experiment.agents.participant import ParticipantAgent
from workers.experiment.degrade import degrade
from workers.experiment.phase2.memories import Memories
from workers.experiment.records import Choice, GroupOutcome, RankingRecord
from workers.experiment.services.phase2_services import Phase2Services
from workers.experiment.services.protocols import MemoryContext, MemoryEvent
from workers.experiment.steps.journal import Journal
from workers.experiment.steps.key import StepKey


class Settlement:
    """Pays a group.

    Args:
        agents: in the configuration's order.
        journal: of the run.
        services: that are in force at the end.
        memories: of the agents.
    """

    def __init__(
        self,
        agents: Sequence[ParticipantAgent],
        journal: Journal,
        services: Phase2Services,
        memories: Memories,
    ) -> None:
        self._agents = tuple(agents)
        self._journal = journal
        self._services = services
        self._memories = memories

    def pay(self, choice: Choice | None, decided_by: str) -> GroupOutcome:
        """What everybody earns; it is on their balances after :meth:`tell`. It does not degrade."""
        names = tuple(agent.name for agent in self._agents)
        outcome = self._services.payoffs.group_earnings(names, choice, decided_by)
        for name in names:
            earning = outcome.earnings[name]
            self._emit(
                StepKey(2, None, name, "payoff"),
                EventType.PAYOFF,
                {
                    "phase": 2,
                    "agent": name,
                    "distribution": earning.distribution,
                    "binding": earning.binding,
                    "income_class": earning.income_class.value,
                    "income": earning.income,
                    "payoff": str(earning.payoff),
                },
            )
        return outcome

    async def tell(self, outcome: GroupOutcome) -> dict[str, str]:
        """Tell everybody the results, have them remembered, and raise the balances; what each was told."""
        shown = {agent.name: await self._results(agent, outcome) for agent in self._agents}

        async def paid(agent: ParticipantAgent) -> None:
            context = MemoryContext(2, None, MemoryEvent.RESULTS)
            await self._services.memory.update_results_memory(agent, shown[agent.name], context)

        await self._memories.update(StepKey(2, None, None, "memory/results"), paid)
        for agent in self._agents:
            agent.balance += outcome.earnings[agent.name].payoff
        return shown

    async def rankings(self, shown: Mapping[str, str]) -> dict[str, RankingRecord]:
        """Everybody's last ranking, after it was told ``shown``."""
        collected = await degrade(
            self._journal,
            "counterfactuals",
            StepKey(2, None, None, "ranking/final"),
            self._services.counterfactuals.collect_final_rankings(self._agents, shown),
            {},
            asks=True,
        )
        found = {agent.name: collected.get(agent.name) or _no_ranking(agent) for agent in self._agents}
        for name, record in found.items():
            ranking = record.ranking
            certainty = None if ranking is None else ranking.certainty
            self._emit(
                StepKey(2, None, name, "ranking/final"),
                EventType.RANKING,
                {
                    "agent": name,
                    "checkpoint": record.checkpoint,
                    "order": None if ranking is None else [principle.value for principle in ranking.order],
                    "certainty": None if certainty is None else certainty.value,
                },
            )
        return found

    async def _results(self, agent: ParticipantAgent, outcome: GroupOutcome) -> str:
        """What an agent is told: by the counterfactuals service or, when that fails, the bare result."""

        async def detailed() -> str:
            return self._services.counterfactuals.format_detailed_results(agent, outcome, self._agents)

        key = StepKey(2, None, agent.name, "results")
        told = await degrade(self._journal, "counterfactuals", key, detailed(), None)
        return bare_results(agent, outcome) if told is None else told

    def _emit(self, key: StepKey, event: EventType, data: dict[str, Any]) -> None:
        self._journal.emit(f"{key.path}/{event.value}", event, data)


def _no_ranking(agent: ParticipantAgent) -> RankingRecord:
    return RankingRecord(
        agent=agent.name, memory=agent.memory, balance=agent.balance, checkpoint="final", ranking=None
    )


def bare_results(agent: ParticipantAgent, outcome: GroupOutcome) -> str:
    """What was decided and what the agent is paid, and nothing more."""
    text, choice = agent.text, outcome.choice
    if choice is None:
        decided = text.text("discussion.results.undecided")
    elif choice.amount is None:
        decided = text.text("discussion.results.decided", principle=text.principle(choice.principle))
    else:
        decided = text.text(
            "discussion.results.decided_amount",
            principle=text.principle(choice.principle),
            amount=text.money(choice.amount),
        )
    earning = outcome.earnings[agent.name]
    paid = text.text(
        "discussion.results.payoff",
        income_class=text.income_class(earning.income_class),
        income=text.money(earning.income),
        payoff=text.money(earning.payoff),
    )
    return f"{decided}\n{paid}"
