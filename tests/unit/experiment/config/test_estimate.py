"""The counted calls are those that real runs make."""

from __future__ import annotations

import asyncio
import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.estimate import CallEstimate, expected_calls
from shared.schemas.experiment.identity import derived_seed
from shared.schemas.experiment.reading import read_config
from tests.unit.experiment.config.files import agent, config
from workers.experiment.experiment import Experiment
from workers.experiment.phase1.comprehension import SITTINGS
from workers.experiment.seeds import SeedManager
from workers.experiment.steps.journal import Journal, StepRecord
from workers.experiment.steps.model_call import ModelAnswer, ModelCall, StepOutcome
from workers.experiment.testing import InMemorySteps

EXAMPLES = sorted((Path(__file__).parents[4] / "examples").glob("*.yaml"))

SHORT, LONG = "short", "long"


class Course:
    """Models whose answers take a run along its shortest or its longest course.

    Attributes:
        calls: that were made.
    """

    def __init__(self, config: ExperimentConfig, course: str) -> None:
        self._config = config
        self._course = course
        self.store = InMemorySteps()
        self.calls = 0

    async def call(self, call: ModelCall) -> ModelAnswer:
        step = next(
            step
            for step in reversed(self.store.steps.values())
            if step.answer is None and step.role == call.role and step.user == call.user
        )
        self.calls += 1
        await asyncio.sleep(0)
        said = self._said(step)
        text = said if isinstance(said, str) else json.dumps(said)
        return ModelAnswer(outcome=StepOutcome.ANSWERED, text=text, model="scripted")

    def _said(self, step: StepRecord) -> Any:
        purpose, number = step.key.purpose, step.key.round or 0
        short, last = self._course == SHORT, step.key.agent == self._config.names[-1]
        if purpose.startswith("ranking/"):
            return {"ranking": [3, 1, 2, 4], "certainty": "sure"}
        if purpose.startswith("comprehension/"):
            right = SITTINGS[int(purpose[-1]) - 1].answers(self._config.averages)
            return {"answers": [answer if short else answer % 4 + 1 for answer in right]}
        if purpose == "application":
            return {"principle": 3, "amount": 13000, "certainty": "sure"}
        if purpose == "vote/initiation":
            return {"agree": short or last}
        if purpose == "vote/confirmation":
            return {"agree": True}
        # The longest course: the last agent always wants another principle and another amount.
        constraint = 4 if last else 3
        amount = 14000 + (1000 * number if last else 0)
        if purpose == "ballot/principle":
            return {"principle": 1 if short else constraint, "certainty": "sure"}
        if purpose == "ballot/amount":
            return {"amount": amount}
        if purpose == "ballot/combined":
            return {
                "principle": 1 if short else constraint,
                "amount": None if short else amount,
                "certainty": "sure",
            }
        if purpose == "favoured":
            return {"principle": 3}
        if purpose in ("statement", "reasoning", "explanation") or purpose.startswith("memory/"):
            return f"What is said in round {number} is short and clear, and everybody has heard it."
        raise AssertionError(f"unexpected step {step.key.path}")


async def _calls(config: ExperimentConfig, course: str) -> int:
    """The calls of a run along a course."""
    models = Course(config, course)
    journal = Journal(models.store, models, SeedManager(derived_seed(config)))
    await Experiment(config, journal).run()
    steps = models.store.steps.values()
    assert not [step.key.path for step in steps if step.unreadable is not None]
    assert not journal.degraded
    return models.calls


CONFIGS: list[dict[str, Any]] = [
    {},
    {"profile": "human"},
    {"initiation": "all", "phase2_rounds": 2},
    {"minimum_rounds": 3, "phase2_rounds": 4},
    {"forced_ballot_last_round": True, "phase2_rounds": 3},
    {"forced_ballot_last_round": True, "phase2_rounds": 2, "minimum_rounds": 2},
    {"memory_update_threshold": "minimal", "phase2_rounds": 3},
    {"memory_update_threshold": "comprehensive", "phase2_rounds": 3},
    {"selective_memory_updates": False, "phase2_rounds": 3, "comprehension_test": True},
    {"phase2_settings": {"reasoning_enabled": False}, "phase2_rounds": 3},
    {"two_stage_voting_enabled": False, "phase2_rounds": 3},
    {"decision_rule": "majority", "phase2_rounds": 2},
    {"decision_rule": "imposed:maximizing_floor"},
    {"decision_rule": "imposed:maximizing_floor", "memory_update_threshold": "minimal"},
    {"finished_agents_may_speak": False, "phase2_rounds": 3},
    {"manipulator": {"name": "Bob"}, "phase2_rounds": 2},
    {"speaking_order_strategy": "fixed", "phase2_rounds": 3, "original_values_mode": True},
]


@pytest.mark.parametrize("keys", CONFIGS, ids=lambda keys: ",".join(map(str, keys)) or "default")
async def test_the_shortest_course_takes_the_minimum(keys: dict[str, Any]) -> None:
    read = config(**keys)
    assert await _calls(read, SHORT) == expected_calls(read).minimum


@pytest.mark.parametrize("keys", CONFIGS, ids=lambda keys: ",".join(map(str, keys)) or "default")
async def test_the_longest_course_takes_the_maximum(keys: dict[str, Any]) -> None:
    # Two of three who agree are a majority: the longest course needs a tie.
    read = config(**keys) if keys.get("decision_rule") != "majority" else config("Alice", "Bob", **keys)
    assert await _calls(read, LONG) == expected_calls(read).maximum


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_examples_take_what_is_counted(path: Path) -> None:
    read = read_config(path.read_bytes())
    assert await _calls(read, SHORT) == expected_calls(read).minimum
    assert await _calls(read, LONG) == expected_calls(read).maximum


def test_counted_by_hand() -> None:
    """Three agents, the defaults.

    Phase 1: 8 steps and 8 memories each, 48. The way into the group: 3. A round: 3 thoughts, 3 statements, 3
    readings, 3 memories, 12. The shortest vote: 1 asked, 2 confirmations, 3 ballots, 6. The end: 6. A round
    without a vote: 12 and 3 asked. The longest vote: 3, 2 and 6.
    """
    assert expected_calls(config()) == CallEstimate(
        phase_1=48,
        per_round=15,
        minimum=48 + 3 + 12 + 6 + 6,
        expected=48 + 3 + 6 * 12 + 5 * 3 + 11 + 6,
        maximum=48 + 3 + 10 * (12 + 11) + 6,
    )


def test_a_vote_that_nobody_calls_can_be_the_shortest_course() -> None:
    # The only round: 3 are asked and nobody wants to, instead of 1 asked, 2 confirmations and 3 ballots.
    assert expected_calls(config(phase2_rounds=1)).minimum == 48 + 3 + 12 + 3 + 6


def test_thinking_counts_for_those_who_think() -> None:
    agents = [agent("A", reasoning_enabled=False), agent("B"), agent("C")]
    one, all_of_them = config(agents=agents), config()
    assert expected_calls(all_of_them).per_round - expected_calls(one).per_round == 1


@pytest.mark.parametrize(
    ("profile", "rounds", "forced", "prompted", "threshold"),
    list(
        product(("original", "human"), (2, 3, 10), (True, False), (True, False), ("minimal", "comprehensive"))
    ),
)
def test_the_numbers_are_in_order(
    profile: str, rounds: int, forced: bool, prompted: bool, threshold: str
) -> None:
    read = config(
        profile=profile,
        phase2_rounds=rounds,
        forced_ballot_last_round=forced,
        memory_update_threshold=threshold,
        phase2_settings={"prompt_based_voting": prompted},
    )
    calls = expected_calls(read)
    assert 0 < calls.phase_1 < calls.minimum <= calls.expected <= calls.maximum
