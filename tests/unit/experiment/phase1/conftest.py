"""Phase 1 with agents that answer as a script says; everything else is real."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from shared.schemas.experiment.config import ExperimentConfig
from workers.experiment.agents.participant import ParticipantAgent, make_agents
from workers.experiment.agents.utility import UtilityAgent
from workers.experiment.languages.manager import load
from workers.experiment.phase1 import Phase1Manager
from workers.experiment.records import Phase1Record
from workers.experiment.seeds import SeedManager
from workers.experiment.services.memory_service import MemoryService
from workers.experiment.services.payoffs import PayoffService
from workers.experiment.services.protocols import MemoryProtocol
from workers.experiment.steps.journal import Journal, StepRecord
from workers.experiment.steps.model_call import ModelAnswer, ModelCall
from workers.experiment.testing import InMemorySteps, ScriptedModels

RANKING = json.dumps({"ranking": [3, 2, 1, 4], "certainty": "sure"})
CHOICE = json.dumps(
    {"reasons": "A floor is fair.", "principle": 3, "amount": 12000, "certainty": "very_sure"}
)

#: Answers by what is asked: the step's purpose.
Answers = Mapping[str, "str | list[str | ModelAnswer] | ModelAnswer"]


class Run:
    """A run of phase 1; ``answers`` are by purpose, ``Ann:<purpose>`` those of one agent."""

    def __init__(
        self,
        answers: Answers | None = None,
        *,
        seed: int = 7,
        recorded: Mapping[str, StepRecord] | None = None,
        replay: bool = False,
        names: tuple[str, ...] = ("Ann", "Bob"),
        memory: MemoryProtocol | None = None,
        **keys: Any,
    ) -> None:
        self.config = ExperimentConfig.model_validate(
            {"agents": [{"name": name, "personality": f"You are {name}."} for name in names], **keys}
        )
        self.answers = dict(answers or {})
        self.models = ScriptedModels(self._answer)
        self.steps = InMemorySteps()
        self.journal = Journal(self.steps, self.models, SeedManager(seed), recorded=recorded, replay=replay)
        self.text = load(self.config.language)
        utility = UtilityAgent(self.journal, self.config, self.text)
        self.agents: tuple[ParticipantAgent, ...] = make_agents(self.config, self.journal, utility)
        self.payoffs = PayoffService(self.config, self.journal)
        self.memory = memory or MemoryService(self.config, self.journal, utility)

    def manager(self) -> Phase1Manager:
        return Phase1Manager(self.config, self.agents, self.journal, self.payoffs, self.memory)

    async def play(self) -> tuple[Phase1Record, ...]:
        return await self.manager().run()

    def prompts(self, part: str) -> list[str]:
        """What was asked in the steps whose path has ``part``."""
        return [step.user or "" for path, step in self.steps.steps.items() if part in path]

    def _answer(self, call: ModelCall) -> str | ModelAnswer:
        step = next(
            step
            for step in reversed(self.steps.steps.values())
            if step.user == call.user and step.role == call.role
        )
        purpose, agent = step.key.purpose, step.key.agent
        for key in (f"{agent}:{purpose}", purpose):
            if key in self.answers:
                given = self.answers[key]
                if not isinstance(given, list):
                    return given
                return given[min(step.key.tried or 1, len(given)) - 1]
        if purpose.startswith("ranking/"):
            return RANKING
        if purpose == "application":
            return CHOICE
        if purpose.startswith("memory/"):
            return f"{agent} remembers {purpose} {step.key.round or ''}."
        return "I see what each principle leads to."


@pytest.fixture
def make_run() -> Callable[..., Run]:
    return Run
