"""A group whose answers a test writes, by question and agent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.schemas.events import EventType
from shared.schemas.experiment.reading import read_config
from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Principle
from workers.experiment.agents.participant import make_agents
from workers.experiment.history import PublicHistory
from workers.experiment.languages.manager import load
from workers.experiment.records import Statement
from workers.experiment.seeds import SeedManager
from workers.experiment.services.protocols import DiscussionState
from workers.experiment.services.voting_service import VotingService
from workers.experiment.steps.journal import Journal, RunEvent
from workers.experiment.steps.model_call import ModelAnswer, ModelCall, StepOutcome
from workers.experiment.testing import InMemorySteps, ScriptedModels

YES, NO = '{"agree": true}', '{"agree": false}'
GARBAGE = "Well, there is much to be said about it."
SLOW = ModelAnswer(outcome=StepOutcome.TIMED_OUT)
REFUSED = ModelAnswer(outcome=StepOutcome.REFUSED, text="filtered")

#: Questions that a test may have answered in an order of its own.
TOGETHER = ("vote/initiation", "vote/confirmation", "ballot/principle", "ballot/combined")

#: An answer, or the answers of all tries: the last one is repeated.
Answers = str | ModelAnswer | Sequence[str | ModelAnswer]


def ballot(principle: int, certainty: str | None = "sure") -> str:
    """An answer to the first question of a ballot."""
    return json.dumps({"principle": principle} | ({"certainty": certainty} if certainty else {}))


def amount(dollars: int) -> str:
    """An answer to the second."""
    return json.dumps({"amount": dollars})


class Group:
    """A voting service over scripted models, through a real journal.

    Args:
        answers: by question (the purpose of its step), then by agent; ``*`` is every other agent. What is not
            among them fails the test: it should not have been asked.
        agents: their names, in order.
        arrival: the order in which agents answer the questions that are asked at once; all who have an
            answer of their own must be waiting before the first one answers.
        recorded: the steps of an earlier run.
        replay: whether this is a replay of it.
        languages: of agents that have one of their own.
        config: further keys of the configuration.
    """

    def __init__(
        self,
        answers: Mapping[str, Mapping[str, Answers]],
        *,
        agents: Sequence[str] = ("Ann", "Bob", "Cleo"),
        arrival: Sequence[str] | None = None,
        recorded: InMemorySteps | None = None,
        replay: bool = False,
        languages: Mapping[str, str] | None = None,
        **config: Any,
    ) -> None:
        own = {name: {"language": language} for name, language in (languages or {}).items()}
        described = [{"name": name, "personality": f"You are {name}."} | own.get(name, {}) for name in agents]
        self.config = read_config({"agents": described, **config})
        self._answers = answers
        self._arrival = arrival
        self._waiting: dict[str, set[str]] = {}
        self._all_wait: dict[str, asyncio.Event] = {}
        self._answered: dict[tuple[str, str], asyncio.Event] = {}
        self.store = InMemorySteps()
        self.models = ScriptedModels(self._answer)
        self.journal = Journal(
            self.store,
            self.models,
            SeedManager(7),
            recorded={} if recorded is None else recorded.steps,
            replay=replay,
        )
        self.agents = make_agents(self.config, self.journal)
        for agent in self.agents:
            agent.memory = f"memory of {agent.name}: 77,777"
        self.service = VotingService(self.config, self.agents, self.journal, load(self.config.language))

    @property
    def names(self) -> tuple[str, ...]:
        """The agents, in order."""
        return tuple(agent.name for agent in self.agents)

    @property
    def asked(self) -> list[str]:
        """The paths of the calls, in the order in which they began."""
        return [path for path, step in self.store.steps.items() if step.answer is not None]

    def prompts(self, purpose: str, agent: str) -> list[ModelCall]:
        """What an agent was asked at a step, try by try."""
        wanted = [
            step
            for step in self.store.steps.values()
            if (step.key.purpose, step.key.agent) == (purpose, agent)
        ]
        return [
            next(
                c for c in self.models.calls if (c.role, c.system, c.user) == (agent, step.system, step.user)
            )
            for step in wanted
        ]

    @property
    def told(self) -> list[RunEvent]:
        """The events of the votes, in order; how far the run is tells no vote."""
        return [event for event in self.store.events if event.type is not EventType.PROGRESS]

    def events(self, kind: EventType) -> list[dict[str, Any]]:
        """The data of the events of a kind, in order."""
        return [event.data for event in self.store.events if event.type is kind]

    async def _answer(self, call: ModelCall) -> str | ModelAnswer:
        key = next(
            step.key
            for step in reversed(self.store.steps.values())
            if step.answer is None
            and (step.role, step.system, step.user) == (call.role, call.system, call.user)
        )
        agent = str(key.agent)
        by_agent = self._answers[key.purpose]
        found = by_agent[agent] if agent in by_agent else by_agent["*"]
        if self._arrival is not None and key.tried == 1:
            await self._in_turn(key.purpose, agent, self._arrival)
        if isinstance(found, str | ModelAnswer):
            return found
        assert key.tried is not None
        return found[min(key.tried, len(found)) - 1]

    async def _in_turn(self, purpose: str, agent: str, arrival: Sequence[str]) -> None:
        """Wait until everybody who is asked this waits, and then for those before in the order."""
        if purpose not in TOGETHER:
            return
        order = [name for name in arrival if name in self._answers[purpose]]
        waiting = self._waiting.setdefault(purpose, set())
        waiting.add(agent)
        everybody = self._all_wait.setdefault(purpose, asyncio.Event())
        if waiting == set(order):
            everybody.set()
        await everybody.wait()
        place = order.index(agent)
        if place > 0:
            await self._answered.setdefault((purpose, order[place - 1]), asyncio.Event()).wait()
        self._answered.setdefault((purpose, agent), asyncio.Event()).set()


def state(
    round_number: int = 3,
    *,
    last: bool = False,
    agenda: tuple[Principle, ...] = FOUR_PRINCIPLES,
    said: Mapping[str, str] | None = None,
    reasoning: Mapping[str, str] | None = None,
) -> DiscussionState:
    """A round that was discussed."""
    said = {"Ann": "I am for a floor.", "Bob": "So am I."} if said is None else said
    return DiscussionState(
        round=round_number,
        last_round=last,
        history=PublicHistory(),
        agenda=agenda,
        statements={
            name: Statement(
                agent=name, round=round_number, public=words, reasoning=(reasoning or {}).get(name)
            )
            for name, words in said.items()
        },
    )


def everybody(names: Iterable[str], answer: Answers) -> dict[str, Answers]:
    """The same answer of each."""
    return dict.fromkeys(names, answer)
