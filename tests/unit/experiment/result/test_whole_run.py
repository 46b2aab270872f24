"""The result of a run with real services: it points to steps that are there, and a replay has its digest."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.identity import config_hash
from shared.schemas.experiment.reading import read_config
from workers.experiment.experiment import Experiment
from workers.experiment.report.render import render
from workers.experiment.result.build import build
from workers.experiment.result.canonical import digest
from workers.experiment.result.run import FinishedRun, RunStatus
from workers.experiment.result.usage import tally
from workers.experiment.seeds import SeedManager
from workers.experiment.steps.journal import Journal, StepKind, StepRecord
from workers.experiment.steps.model_call import ModelCall
from workers.experiment.testing import InMemorySteps, Script, ScriptedModels

FLOOR_CONSTRAINT = 3
SEED = 3


def config(**keys: Any) -> ExperimentConfig:
    agents = [
        {"name": name, "personality": "You are fair.", "model": "local"} for name in ("One", "Two", "代理三")
    ]
    return read_config({"agents": agents, "seed": SEED, "phase2_rounds": 3, **keys})


def answers(call: ModelCall) -> str:
    """Agreement on a floor in the second round; what is asked for is known by its schema."""
    told: dict[str, Any] = {
        "ranking": {"ranking": [3, 2, 1, 4], "certainty": "sure"},
        "comprehension": {"answers": [1, 2, 3, 4]},
        "application": {"reasons": "Fair.", "principle": 3, "amount": 13_000, "certainty": "sure"},
        "favoured": {"principle": FLOOR_CONSTRAINT},
        "agreement": {"agree": True},
        "ballot": {"principle": FLOOR_CONSTRAINT, "certainty": "very_sure"},
        "amount": {"amount": 14_000},
    }
    if call.schema_name in told:
        return json.dumps(told[call.schema_name])
    return "I am for the average with a floor of $14,000, which is fair to all of us."


def undecided(call: ModelCall) -> str:
    """Ballots that cannot be read."""
    return "As you like." if call.schema_name in ("ballot", "amount") else answers(call)


async def run(
    configured: ExperimentConfig, script: Script, recorded: Mapping[str, StepRecord] | None = None
) -> tuple[dict[str, Any], InMemorySteps]:
    """The result of a run, or of the replay of ``recorded``."""
    steps = InMemorySteps()
    journal = Journal(
        steps, ScriptedModels(script), SeedManager(SEED), recorded=recorded, replay=recorded is not None
    )
    experiment = Experiment(configured, journal)
    await experiment.run()
    counted = tally((recorded or steps.steps).values())
    finished = FinishedRun(
        config=configured,
        config_hash=config_hash(configured),
        seed=SEED,
        status=RunStatus.COMPLETE,
        standing=journal.standing,
        phase_1=experiment.phase_1,
        phase_2=experiment.phase_2,
        spent=counted.spent(),
        notes={role: tuple(notes) for role, notes in counted.notes.items()},
        degraded=experiment.degraded,
        counterfactuals=experiment.counterfactuals,
        aggregation=experiment.aggregation,
    )
    return build(finished), steps


def pointed(value: Any) -> Iterator[str]:
    """Every path that a result points to."""
    if isinstance(value, dict):
        yield from value.get("steps", ())
        for item in value.values():
            yield from pointed(item)
    elif isinstance(value, list):
        for item in value:
            yield from pointed(item)


def drop(step: StepRecord) -> StepRecord:
    """A step as it is read back: without its prompts."""
    return StepRecord(
        key=step.key,
        kind=step.kind,
        role=step.role,
        prompt_hash=step.prompt_hash,
        sends=step.sends,
        answer=step.answer,
        value=json.loads(json.dumps(step.value)),
        unreadable=step.unreadable,
    )


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param({}, id="original"),
        pytest.param({"profile": "human"}, id="human"),
        pytest.param({"manipulator": {"name": "Two"}}, id="manipulator"),
        pytest.param({"language": "Mandarin"}, id="mandarin"),
        pytest.param(
            {"decision_rule": "imposed:maximizing_average_floor_constraint", "imposed_amount": 14_000},
            id="imposed",
        ),
    ],
)
async def test_a_run_and_its_replay(keys: dict[str, Any]) -> None:
    configured = config(**keys)
    result, steps = await run(configured, answers)
    shuffled = list(steps.steps.items())
    random.Random(1).shuffle(shuffled)

    replayed, _ = await run(configured, answers, {path: drop(step) for path, step in shuffled})

    assert digest(replayed) == digest(result)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert set(pointed(result)) <= set(steps.steps)
    general = result["general_information"]
    assert general["decided_principle"] == "maximizing_average_floor_constraint"
    assert general["consensus_amount"] == 14_000
    assert general["consensus_reached"] is (None if "decision_rule" in keys else True)
    calls = [step for step in steps.steps.values() if step.kind is StepKind.CALL]
    assert result["run"]["usage"]["calls"] == result["run"]["usage"]["calls_sent"] == len(calls)
    assert result["run"]["degraded_services"] == []
    assert result["analysis"]["preference_aggregation"]["final"]["methods"]["borda"]["winner"]
    assert "What the rankings add up to" in render(result)


async def test_ballots_that_nobody_can_read() -> None:
    result, _ = await run(config(phase2_rounds=1, forced_ballot_last_round=True), undecided)

    (vote,) = result["voting_history"]["vote_rounds"]
    assert [ballot["raw_response"] for ballot in vote["participant_votes"]] == ["As you like."] * 3
    assert {ballot["abstention"] for ballot in vote["participant_votes"]} == {"unreadable"}
    assert vote["abstentions"] == 3
    assert vote["vote_counts"] == {}
    assert result["general_information"]["consensus_reached"] is False
    assert "abstains (unreadable)" in render(result)
