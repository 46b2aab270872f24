"""The rounds of phase 2, and what stands before and after them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from shared.schemas.events import EventType
from shared.schemas.experiment.terms import Principle
from workers.experiment.agents.participant import ParticipantAgent
from workers.experiment.degrade import degrade
from workers.experiment.history import EntryKind, PublicHistory
from workers.experiment.languages.manager import LanguageManager, load
from workers.experiment.phase2.memories import Memories, account
from workers.experiment.phase2.settlement import Settlement
from workers.experiment.records import (
    Choice,
    DiscussionRound,
    ManipulationRecord,
    Phase1Record,
    Phase2Record,
    RankingRecord,
    Statement,
    VoteRound,
)
from workers.experiment.result.run import PartialPhase2
from workers.experiment.services.phase2_services import Phase2Services
from workers.experiment.services.protocols import DiscussionState, MemoryContext, MemoryEvent
from workers.experiment.steps.journal import Journal
from workers.experiment.steps.key import StepKey
from workers.experiment.together import together

if TYPE_CHECKING:
    from shared.schemas.experiment.config import ExperimentConfig

log = logging.getLogger(__name__)

T = TypeVar("T")

#: How many rounds remain when the group is told so.
COUNTDOWN = 2


class Phase2Manager:
    """Runs phase 2 through its services.

    A round: the order of speakers; thinking and speaking, in turn; then everybody's memory, with the whole
    round in it, so that nobody knows more than the others; the countdown; the vote. What the utility agent
    reads out of the statements is waited for at the end of the round only: nothing depends on it.

    A memory, counterfactuals or manipulator service that fails degrades the run; voting and payoffs do not.

    Args:
        config: of the experiment.
        agents: in the configuration's order; after phase 1.
        journal: of the run.
        services: of the phase.
        text: of the experiment's language, in which the history is kept.
        later: for a run whose settings change on its way: the configuration and services from a round on.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        agents: Sequence[ParticipantAgent],
        journal: Journal,
        services: Phase2Services,
        *,
        text: LanguageManager | None = None,
        later: Mapping[int, tuple[ExperimentConfig, Phase2Services]] | None = None,
    ) -> None:
        self._agents = {agent.name: agent for agent in agents}
        self._names = tuple(self._agents)
        self._journal = journal
        self._text = text or load(config.language)
        self._later = {1: (config, services), **(later or {})}
        self._config, self._services = config, services
        self._history = PublicHistory()
        self._rounds: list[DiscussionRound] = []
        self._finished: frozenset[str] = frozenset()
        self._memories = Memories(agents, journal)

    async def run(self, phase_1: Sequence[Phase1Record]) -> Phase2Record:
        """Have the group meet, decide or not, and be paid.

        Args:
            phase_1: what each agent did alone, in the configuration's order.
        """
        self._memories.measure()
        least = self._config.phase2_settings.min_agents_for_experiment
        if len(self._names) < least:
            log.warning(
                "a group is smaller than it should be", extra={"agents": len(self._names), "least": least}
            )
        if self._config.imposed is not None:
            return await self._end(Choice(self._config.imposed, self._config.imposed_amount), "imposed")
        await self._prepare_manipulator(phase_1)
        await self._meet()
        choice, decided_by = await self._deliberate(phase_1)
        key = StepKey(2, None, None, "manipulator/conclude")
        await self._degraded("manipulator", key, lambda: self._services.manipulator.conclude())
        return await self._end(choice, decided_by)

    @property
    def partial(self) -> PartialPhase2 | None:
        """The rounds that are finished, of a phase that has begun; ``None`` before it."""
        if not self._memories.measured:
            return None
        return PartialPhase2(
            rounds=tuple(self._rounds),
            agenda=self._history.agenda,
            manipulation=self._services.manipulator.record(self._rounds, {}),
            public_history=self._history.text,
            memory_growth=self._memories.growth,
        )

    # Before the first round

    async def _prepare_manipulator(self, phase_1: Sequence[Phase1Record], since: int | None = None) -> None:
        manipulator = self._services.manipulator
        await self._degraded(
            "manipulator",
            StepKey(2, since, None, "manipulator/prepare"),
            lambda: manipulator.prepare(phase_1),
        )

    async def _meet(self) -> None:
        """Tell everybody that phase 2 begins."""

        async def met(agent: ParticipantAgent) -> None:
            discussion = self._services.discussion
            told = agent.text.text(
                "discussion.memory.transition",
                group=discussion.format_group_composition(self._names, agent.text),
                rounds=self._config.phase2_rounds,
                stake=agent.text.text(f"discussion.stake.{self._config.frame}"),
            )
            context = MemoryContext(2, None, MemoryEvent.PHASE_TRANSITION)
            await self._services.memory.update_discussion_memory(agent, told, context)

        await self._memories.update(StepKey(2, None, None, "memory/phase_transition"), met)

    # The rounds

    async def _deliberate(self, phase_1: Sequence[Phase1Record]) -> tuple[Choice | None, str]:
        """Rounds, until one decides or none is left; what was decided, and by what."""
        number = 0
        while number < self._config_of(number + 1).phase2_rounds:
            number += 1
            await self._go_on(number, phase_1)
            vote = await self._round(number)
            if vote.reached and vote.consensus is not None:
                by = "majority" if self._config.decision_rule == "majority" else "consensus"
                return vote.consensus.choice, by
        return None, "none"

    def _config_of(self, number: int) -> ExperimentConfig:
        return self._later[max(since for since in self._later if since <= number)][0]

    async def _go_on(self, number: int, phase_1: Sequence[Phase1Record]) -> None:
        """Take up the settings that hold from this round on, if any begin here."""
        if number not in self._later or self._later[number][1] is self._services:
            return
        manipulator, task = self._services.manipulator, self._config.manipulating
        self._config, self._services = self._later[number]
        if self._config.manipulating == task:
            self._services = replace(self._services, manipulator=manipulator)
        else:
            key = StepKey(2, number, None, "manipulator/withdraw")
            await self._degraded("manipulator", key, manipulator.withdraw)
            await self._prepare_manipulator(phase_1, number)

    async def _round(self, number: int) -> VoteRound:
        self._journal.enter(2, number)
        reminders = await self._manipulate(number)
        order = self._services.speaking_order.determine_speaking_order(
            self._names, [done.speaking_order for done in self._rounds], finished=self._finished
        )
        self._emit(
            StepKey(2, number, None, "order"),
            EventType.SPEAKING_ORDER,
            {"round": number, "order": list(order)},
        )
        loop = asyncio.get_running_loop()
        spoken: dict[str, asyncio.Future[Statement]] = {name: loop.create_future() for name in order}
        favoured: dict[str, Principle | None] = {}
        held: list[tuple[tuple[Statement, ...], VoteRound]] = []

        async def course() -> None:
            statements = await self._speak(number, order, reminders, spoken)
            held.append((statements, await self._decide(number, statements)))

        async def read(name: str) -> None:
            favoured[name] = await self._favoured(await spoken[name])

        await together([course(), *(read(name) for name in order)])
        statements, vote = held[0]
        self._rounds.append(
            DiscussionRound(
                number=number,
                speaking_order=order,
                statements=tuple(replace(said, favoured=favoured[said.agent]) for said in statements),
                vote=vote,
            )
        )
        self._finish(vote)
        self._memories.measure()
        return vote

    async def _manipulate(self, number: int) -> dict[str, str]:
        """Have the manipulator do its part of the round; what its agent is reminded of."""
        manipulator = self._services.manipulator
        key = StepKey(2, number, None, "manipulator/intervene")
        reminder = await self._degraded(
            "manipulator", key, lambda: manipulator.intervene(number, self._state(number, ()))
        )
        agent = manipulator.agent
        if reminder is None or agent is None:
            return {}
        self._emit(key.of(agent), EventType.MANIPULATION, {"round": number, "agent": agent})
        return {agent: reminder}

    async def _speak(
        self,
        number: int,
        order: Sequence[str],
        reminders: Mapping[str, str],
        spoken: Mapping[str, asyncio.Future[Statement]],
    ) -> tuple[Statement, ...]:
        preview = self._config.phase2_settings.log_statement_preview_length

        def said(statement: Statement) -> None:
            log.debug(
                "an agent spoke",
                extra={"round": number, "agent": statement.agent, "statement": statement.public[:preview]},
            )
            self._emit(
                StepKey(2, number, statement.agent, "statement"),
                EventType.STATEMENT,
                {
                    "round": number,
                    "agent": statement.agent,
                    "content": statement.public,
                    "quarantined": statement.quarantined,
                },
            )
            spoken[statement.agent].set_result(statement)

        statements = await self._services.discussion.conduct_round(
            number,
            [self._agents[name] for name in order],
            self._history,
            reminders=reminders,
            said=said,
        )
        for statement in statements:
            if not spoken[statement.agent].done():
                said(statement)
        return statements

    async def _favoured(self, statement: Statement) -> Principle | None:
        if statement.quarantined:
            return None
        key = StepKey(2, statement.round, statement.agent, "favoured")
        return await self._services.utility.favoured_principle(key, statement.public)

    async def _decide(self, number: int, statements: Sequence[Statement]) -> VoteRound:
        """Everybody remembers the round; then the group votes, or not, and remembers that."""
        last = self._config.phase2_rounds

        async def heard(agent: ParticipantAgent) -> None:
            said = account(statements, agent, self._services.memory, self._config)
            told = agent.text.text("discussion.memory.round", round=number, rounds=last, said=said)
            tries = next((_asked(own) for own in statements if own.agent == agent.name), 1)
            if tries > 1 and self._config.memory_update_on_retry:
                told = f"{told}\n{agent.text.text('discussion.memory.asked_again', times=tries)}"
            context = MemoryContext(2, number, MemoryEvent.DISCUSSION)
            await self._services.memory.update_discussion_memory(agent, told, context)

        await self._memories.update(StepKey(2, number, None, "memory/discussion"), heard)
        if last - number == COUNTDOWN:
            told = self._text.text("discussion.line.countdown", round=number)
            self._history.add(EntryKind.COUNTDOWN, number, told)
        voting = self._services.voting
        vote = await voting.coordinate_voting(self._state(number, statements))
        outcome = voting.announce(vote)
        if outcome is not None:
            self._history.add(EntryKind.VOTE, number, outcome)

        async def voted(agent: ParticipantAgent) -> None:
            told = voting.recollection(agent, vote)
            if told is not None:
                context = MemoryContext(2, number, _event(vote))
                await self._services.memory.update_voting_memory(agent, told, context)

        await self._memories.update(StepKey(2, number, None, f"memory/{_event(vote).value}"), voted)
        return vote

    def _state(self, number: int, statements: Sequence[Statement]) -> DiscussionState:
        return DiscussionState(
            round=number,
            last_round=number >= self._config.phase2_rounds,
            history=self._history,
            agenda=self._history.agenda,
            statements={statement.agent: statement for statement in statements},
        )

    def _finish(self, vote: VoteRound) -> None:
        """Who wanted to vote has finished, until a ballot without consensus opens the discussion again."""
        if vote.consensus is not None and not vote.reached:
            self._finished = frozenset()
        else:
            self._finished |= {answer.agent for answer in vote.initiations if answer.wants}

    # After the last round

    async def _end(self, choice: Choice | None, decided_by: str) -> Phase2Record:
        settlement = Settlement(tuple(self._agents.values()), self._journal, self._services, self._memories)
        outcome = settlement.pay(choice, decided_by)
        shown = await settlement.tell(outcome)
        rankings = await settlement.rankings(shown)
        return Phase2Record(
            rounds=tuple(self._rounds),
            agenda=self._history.agenda,
            outcome=outcome,
            results_shown=shown,
            final_rankings=rankings,
            manipulation=await self._manipulation(rankings),
            public_history=self._history.text,
            memory_growth=self._memories.growth,
        )

    async def _manipulation(self, rankings: Mapping[str, RankingRecord]) -> ManipulationRecord | None:
        if self._config.imposed is not None:
            return None
        return await self._degraded(
            "manipulator",
            StepKey(2, None, None, "manipulator/effects"),
            lambda: self._services.manipulator.record(self._rounds, rankings),
        )

    # What every part needs

    async def _degraded(self, service: str, key: StepKey, work: Callable[[], T]) -> T | None:
        async def done() -> T | None:
            return work()

        return await degrade(self._journal, service, key, done(), None)

    def _emit(self, key: StepKey, event: EventType, data: dict[str, Any]) -> None:
        self._journal.emit(f"{key.path}/{event.value}", event, data)


def _asked(statement: Statement) -> int:
    """How often it was asked for: a warning is kept of each try that brought none."""
    return sum("/statement/try" in path for path in statement.steps)


def _event(vote: VoteRound) -> MemoryEvent:
    """What a vote came to be remembered as."""
    if vote.ballots:
        return MemoryEvent.BALLOT
    return MemoryEvent.VOTE_CONFIRMATION if vote.confirmations else MemoryEvent.VOTE_INITIATION
