"""A run to make services for: a configuration and a journal whose steps stay in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.schemas.experiment.config import ExperimentConfig
from workers.experiment.seeds import SeedManager
from workers.experiment.steps.journal import Journal, StepRecord
from workers.experiment.testing import InMemorySteps, Script, ScriptedModels

NAMES = ("Ann", "Bob", "Cem")


def config(**changes: Any) -> ExperimentConfig:
    values: dict[str, Any] = {
        "agents": [{"name": name, "personality": "You are fair.", "model": "local"} for name in NAMES]
    }
    return ExperimentConfig.model_validate({**values, **changes})


def nobody_is_asked(call: object) -> str:
    raise AssertionError(f"no model is called here: {call}")


def journal(
    seed: int = 1,
    script: Script = nobody_is_asked,
    *,
    recorded: Mapping[str, StepRecord] | None = None,
    replay: bool = False,
) -> tuple[Journal, InMemorySteps]:
    store = InMemorySteps()
    made = Journal(store, ScriptedModels(script), SeedManager(seed), recorded=recorded, replay=replay)
    return made, store
