"""A group around real services and scripted models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.reading import read_config
from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Certainty, Principle
from workers.experiment.agents.participant import ParticipantAgent, make_agents
from workers.experiment.agents.utility import UtilityAgent
from workers.experiment.languages.manager import load
from workers.experiment.records import ExplanationRecord, Phase1Record, Ranking, RankingRecord
from workers.experiment.seeds import SeedManager
from workers.experiment.services.counterfactuals_service import CounterfactualsService
from workers.experiment.services.discussion_service import DiscussionService
from workers.experiment.services.manipulator_service import ManipulatorService
from workers.experiment.services.memory_service import MemoryService
from workers.experiment.services.payoffs import PayoffService
from workers.experiment.services.phase2_services import Phase2Services
from workers.experiment.services.protocols import Aggregate
from workers.experiment.services.speaking_order_service import SpeakingOrderService
from workers.experiment.services.voting_service import VotingService
from workers.experiment.steps.journal import Journal, StepRecord
from workers.experiment.steps.model_call import ModelAnswer, ModelCall, StepOutcome
from workers.experiment.testing import InMemorySteps, ScriptedModels

FLOOR, AVERAGE, FLOOR_CONSTRAINT, RANGE_CONSTRAINT = FOUR_PRINCIPLES

Answer = str | ModelAnswer
Script = Callable[[ModelCall], Answer]


def config_of(count: int = 3, **keys: Any) -> ExperimentConfig:
    """A configuration of ``count`` agents: Alice, Bob, Carol and so on."""
    names = ("Alice", "Bob", "Carol", "Dan", "Eve")[:count]
    agents = [{"name": name, "personality": f"You are {name}.", "model": "local"} for name in names]
    return read_config({"agents": agents, "seed": 7, **keys})


class Borda:
    """Adds up 3, 2, 1, 0 points."""

    def aggregate_preferences(self, votes: Mapping[str, Ranking], aggregation_method: str) -> Aggregate:
        assert aggregation_method == "borda"
        scores = {
            principle: sum(3 - vote.order.index(principle) for vote in votes.values())
            for principle in FOUR_PRINCIPLES
        }
        winner = max(scores, key=lambda principle: scores[principle])
        return Aggregate(method="borda", scores=scores, winner=winner, tied=(), tiebreak_applied=False)


class Group:
    """The agents of a run in their places, and what was asked of them.

    Args:
        config: of the run.
        script: answers every call.
        recorded: steps of an earlier attempt.
        replay: whether every step must be among them.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        script: Script,
        recorded: Mapping[str, StepRecord] | None = None,
        *,
        replay: bool = False,
    ) -> None:
        self.config = config
        self.store = InMemorySteps()
        self.models = ScriptedModels(script)
        self.journal = Journal(
            self.store, self.models, SeedManager(config.seed or 0), recorded=recorded, replay=replay
        )
        self.text = load(config.language)
        self.utility = UtilityAgent(self.journal, config, self.text)
        self.agents: tuple[ParticipantAgent, ...] = make_agents(config, self.journal, self.utility)

    def services(self, config: ExperimentConfig | None = None) -> Phase2Services:
        """The real services, under the group's configuration or a changed one."""
        config = config or self.config
        payoffs = PayoffService(config, self.journal)
        return Phase2Services(
            speaking_order=SpeakingOrderService(config, self.journal),
            discussion=DiscussionService(config, self.agents, self.journal, self.utility, self.text),
            voting=VotingService(config, self.agents, self.journal, self.text),
            memory=MemoryService(config, self.journal, self.utility),
            counterfactuals=CounterfactualsService(config, self.journal, payoffs),
            payoffs=payoffs,
            manipulator=ManipulatorService(config, self.agents, self.journal, Borda()),
            utility=self.utility,
        )

    def asked(self, purpose: str) -> list[str]:
        """The questions of the steps with this purpose, in the order in which they were asked."""
        return [str(step.user) for path, step in self.store.steps.items() if f"/{purpose}" in path]

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The data of the events of this type."""
        return [event.data for event in self.store.events if event.type == kind]


def ranking(*order: Principle) -> Ranking:
    """A ranking of all four, the rest in their own order."""
    rest = [principle for principle in FOUR_PRINCIPLES if principle not in order]
    return Ranking((*order, *rest), Certainty.SURE)


def phase_1(rankings: Mapping[str, Ranking | None]) -> tuple[Phase1Record, ...]:
    """What is left of phase 1: each agent's last ranking."""
    return tuple(
        Phase1Record(
            agent=name,
            initial_ranking=RankingRecord(agent=name, checkpoint="initial", ranking=found),
            explanation=ExplanationRecord(agent=name),
            comprehension=(),
            ranking_2=RankingRecord(agent=name, checkpoint="post_explanation", ranking=found),
            applications=(),
            ranking_3=RankingRecord(agent=name, checkpoint="post_application", ranking=found),
        )
        for name, found in rankings.items()
    )


def in_turn(answers: Sequence[Answer]) -> Callable[[], Answer]:
    """Each answer once; the last one for ever."""
    left = list(answers)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def timed_out() -> ModelAnswer:
    """A call that took too long."""
    return ModelAnswer(outcome=StepOutcome.TIMED_OUT)


def refused() -> ModelAnswer:
    """A call that the provider will not answer."""
    return ModelAnswer(outcome=StepOutcome.REFUSED, text="too long")
