"""A run that is cut anywhere goes on from its steps and comes to what it would have come to."""

from __future__ import annotations

import asyncio
import copy
import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from shared.jobs.states import Status
from shared.schemas.events import EventType
from shared.schemas.experiment.asked import Asked
from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.estimate import expected_calls
from shared.schemas.experiment.identity import config_hash, derived_seed
from shared.schemas.experiment.reading import read_config
from tests.fakes import agents
from workers.experiment.experiment import Experiment
from workers.experiment.seeds import SeedManager
from workers.experiment.steps.journal import Journal, RunEvent, Standing, StepKind, StepRecord
from workers.experiment.steps.key import StepKey
from workers.experiment.steps.log import Recorded
from workers.experiment.steps.model_call import ModelAnswer, ModelCall, StepOutcome
from workers.experiment.testing import InMemorySteps, ScriptedModels
from workers.jobs.experiments.loading import StoredRun
from workers.jobs.experiments.outcome import ending_of

#: A run is cut when so many more calls have been begun.
EVERY = 5

AGENTS = ("Alice", "Bob", "Carol")


def configuration(names: tuple[str, ...] = AGENTS, play: str = "chance", **changes: Any) -> ExperimentConfig:
    return read_config(
        {
            "agents": [
                {"name": name, "personality": f"You are {name}.", "model": play, "reasoning_enabled": False}
                for name in names
            ],
            "utility_agent_model": play,
            "phase2_rounds": 2,
            "seed": 5,
            **changes,
        }
    )


CONFIGURATIONS: dict[str, ExperimentConfig] = {
    "original": configuration(phase2_rounds=3),
    "human": configuration(profile="human"),
    "agreeing": configuration(play="agree"),
    "two_agents": configuration(AGENTS[:2], seed=6),
    "manipulator": configuration(
        manipulator={"name": "Carol", "type": "persuasive", "intervention_round": 2}, seed=7
    ),
    "hidden_target": configuration(manipulator={"name": "Bob"}, seed=3),
    "open_agenda": configuration(open_agenda=True, forced_ballot_last_round=True, seed=8),
    "conversational": configuration(speaking_order_strategy="conversational", initiation="all", seed=9),
    "mandarin": configuration(language="Mandarin", seed=10),
    "reasoning": read_config(
        {
            "agents": [
                {"name": name, "personality": "You think first.", "model": "chance"} for name in AGENTS
            ],
            "utility_agent_model": "chance",
            "phase2_rounds": 2,
            "memory_update_threshold": "comprehensive",
            "phase2_settings": {"two_stage_voting_enabled": False},
            "seed": 12,
        }
    ),
}


@dataclass
class Played:
    """Agents of the fake model server, each answer taking its own time, another one in every attempt.

    Attributes:
        attempt: varies the order in which answers arrive.
        lease: calls until the worker is gone; ``None``: it stays.
    """

    play: str
    attempt: int = 0
    lease: int | None = None
    asked: list[ModelCall] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, call: ModelCall) -> ModelAnswer:
        self.asked.append(call)
        if self.lease is not None and len(self.asked) > self.lease:
            self.gone.set()
            await asyncio.Event().wait()
        told = f"{call.role}\0{call.system}\0{call.user}"
        chance = hashlib.sha256(f"{self.attempt}\0{told}".encode()).digest()
        for _ in range(chance[0] % 7):
            await asyncio.sleep(0)
        sure = hashlib.sha256(told.encode()).digest()
        if self.play == "chance" and sure[0] < 8:
            return ModelAnswer(outcome=StepOutcome.TIMED_OUT)
        body = {"messages": [{"content": call.system}, {"content": call.user}]}
        if call.schema is not None:
            body["format"] = {"title": call.schema_name, **call.schema}  # type: ignore[assignment]
        text = "What do you mean?" if self.play == "chance" and sure[1] < 12 else self._said(body)
        return ModelAnswer(
            outcome=StepOutcome.ANSWERED,
            text=text,
            model="played",
            input_tokens=len(told) // 4,
            output_tokens=len(text) // 4 + 1,
        )

    def _said(self, body: dict[str, Any]) -> str:
        return agents.answer(self.play, body) or ""


@dataclass
class Attempt:
    """One attempt at a run, over the steps and events that the ones before it left."""

    config: ExperimentConfig
    models: Played
    steps: InMemorySteps
    standings: list[Standing] = field(default_factory=list)

    @classmethod
    def after(cls, earlier: Attempt | None, config: ExperimentConfig, *, lease: int | None = None) -> Attempt:
        store = InMemorySteps()
        number = 0
        if earlier is not None:
            number = earlier.models.attempt + 1
            store.steps = copy.deepcopy(earlier.steps.steps)
            for step in store.steps.values():
                # They stay in the database.
                step.system = step.user = None
            for event in earlier.steps.events:
                store.emit(event)
        play = config.utility_agent_model
        return cls(config, Played(play, number, lease), store)

    async def run(self) -> str | None:
        """The digest of its result; ``None`` when it was cut."""
        recorded = copy.deepcopy(self.steps.steps)
        config = self.config
        journal = Journal(
            self.steps,
            ScriptedModels(self.models.answer),
            SeedManager(derived_seed(config)),
            recorded=recorded,
            expected_calls=expected_calls(config).expected,
        )
        experiment = Experiment(config, journal)
        work = asyncio.create_task(experiment.run())
        gone = asyncio.create_task(self.models.gone.wait())
        await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
        cut = not work.done()
        for task in (work, gone):
            task.cancel()
            await asyncio.wait([task])
        if cut:
            return None
        work.result()
        ending = ending_of(
            stored(config),
            experiment,
            journal.standing,
            Recorded(self.steps.steps, dict.fromkeys(self.steps.steps, (None, None))),
            Status.SUCCEEDED,
            None,
        )
        return ending.digest


def stored(config: ExperimentConfig) -> StoredRun:
    return StoredRun(
        experiment_id=UUID(int=1),
        owner_id=UUID(int=2),
        name="cut",
        config=config,
        document=config.model_dump(mode="json"),
        config_file=None,
        config_hash=config_hash(config),
        seed=derived_seed(config),
        routes={},
        asked=Asked(),
        kind="run",
        source_id=None,
        fork_round=None,
        earlier=(),
        earlier_documents=(),
        spent=0.0,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        source_hash=None,
    )


def facts(step: StepRecord) -> tuple[Any, ...]:
    """What of a step every way to it has in common."""
    return (
        step.kind,
        step.role,
        step.prompt_hash,
        step.schema_name,
        step.answer,
        step.value,
        step.unreadable,
    )


def all_facts(steps: Mapping[str, StepRecord]) -> dict[str, tuple[Any, ...]]:
    return {path: facts(step) for path, step in steps.items()}


def told(events: list[RunEvent]) -> dict[str, RunEvent]:
    """The events by their keys, but for those that tell how far it is: that never goes back."""
    keys = Counter(event.key for event in events)
    assert set(keys.values()) == {1}
    far = [event.data for event in events if event.type is EventType.PROGRESS]
    for name in ("phase", "fraction", "calls", "tokens"):
        assert [data[name] for data in far] == sorted(data[name] for data in far), name
    return {event.key: event for event in events if event.type is not EventType.PROGRESS}


@pytest.mark.parametrize("name", CONFIGURATIONS)
async def test_a_run_that_is_cut_anywhere_comes_to_the_same(name: str) -> None:
    config = CONFIGURATIONS[name]
    whole = Attempt.after(None, config)
    digest = await whole.run()
    assert digest is not None
    calls = len(whole.models.asked)
    assert calls > 10 * len(config.agents)
    steps, events = all_facts(whole.steps.steps), told(whole.steps.events)
    for lease in range(1, calls, EVERY):
        first = Attempt.after(None, config, lease=lease)
        assert await first.run() is None
        flying = {path for path, step in first.steps.steps.items() if step.answer is None}
        flying &= {path for path, step in first.steps.steps.items() if step.kind is StepKind.CALL}
        recorded = all_facts(first.steps.steps)
        second = Attempt.after(first, config)
        assert await second.run() == digest, f"cut after {lease} calls"
        assert all_facts(second.steps.steps) == steps
        assert told(second.steps.events) == events
        for path, step in second.steps.steps.items():
            if path in flying:
                assert step.sends == 2, path
            elif step.kind is StepKind.CALL:
                assert step.sends == 1, path
            if path in recorded and path not in flying:
                assert facts(step) == recorded[path]
        asked = len(first.models.asked) + len(second.models.asked)
        assert asked == sum(step.sends for step in second.steps.steps.values()) == calls + len(flying)
        assert second.steps.standing.calls == asked


@pytest.mark.parametrize("name", ["original", "human"])
async def test_a_run_that_is_cut_again_and_again_comes_to_the_same(name: str) -> None:
    """Each attempt makes a few calls and is gone."""
    config = CONFIGURATIONS[name]
    whole = Attempt.after(None, config)
    digest = await whole.run()
    attempt, last = Attempt.after(None, config, lease=7), None
    attempts = 1
    while (last := await attempt.run()) is None:
        attempt = Attempt.after(attempt, config, lease=7)
        attempts += 1
    assert attempts >= len(whole.models.asked) // 7
    assert last == digest
    assert all_facts(attempt.steps.steps) == all_facts(whole.steps.steps)
    assert told(attempt.steps.events) == told(whole.steps.events)


async def test_a_fork_that_does_not_come_to_all_its_steps_tells_how_far_it_is() -> None:
    """Without its manipulator it asks nothing for what that had to be told."""
    config = CONFIGURATIONS["original"]
    whole = Attempt.after(None, config)
    await whole.run()
    first = Attempt.after(None, config, lease=30)
    await first.run()
    key = StepKey(2, None, "Carol", "manipulator/prepare")
    answer = ModelAnswer(outcome=StepOutcome.ANSWERED, text="-")
    first.steps.steps[key.path] = StepRecord(key=key, kind=StepKind.CALL, sends=1, answer=answer)
    second = Attempt.after(first, config)
    told = len(second.steps.events)
    assert await second.run() is not None
    later = [event for event in second.steps.events[told:] if event.type is EventType.PROGRESS]
    assert len(later) > 10
