"""A run whose models answer as a script says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from shared.schemas.experiment.config import ExperimentConfig
from workers.experiment.agents.participant import ParticipantAgent, make_agents
from workers.experiment.agents.utility import UtilityAgent
from workers.experiment.languages.manager import load
from workers.experiment.seeds import SeedManager
from workers.experiment.services.memory_service import MemoryService
from workers.experiment.steps.journal import Journal, StepRecord
from workers.experiment.testing import InMemorySteps, Script, ScriptedModels


class Run:
    """Two agents, Ann and Bob, and their memory."""

    def __init__(
        self, script: Script, recorded: Mapping[str, StepRecord] | None = None, limit: int = 400, **keys: Any
    ) -> None:
        self.config = ExperimentConfig.model_validate(
            {
                "agents": [
                    {"name": name, "personality": "Patient.", "memory_character_limit": limit}
                    for name in ("Ann", "Bob")
                ],
                **keys,
            }
        )
        self.models = ScriptedModels(script)
        self.steps = InMemorySteps()
        self.journal = Journal(
            self.steps,
            self.models,
            SeedManager(1),
            recorded=recorded,
            replay=recorded is not None,
        )
        self.utility = UtilityAgent(self.journal, self.config, load(self.config.language))
        self.agents: tuple[ParticipantAgent, ...] = make_agents(self.config, self.journal, self.utility)
        self.memory = MemoryService(self.config, self.journal, self.utility)


@pytest.fixture
def make_run() -> Callable[..., Run]:
    return Run
