"""Who calls a vote."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workers.experiment.agents.participant import ParticipantAgent
from workers.experiment.languages.manager import LanguageManager
from workers.experiment.reading.agreement import AgreementReader
from workers.experiment.records import InitiationAnswer
from workers.experiment.services.protocols import DiscussionState
from workers.experiment.services.voting.context import discussed, own_words
from workers.experiment.steps.journal import Journal
from workers.experiment.steps.key import StepKey
from workers.experiment.together import together

if TYPE_CHECKING:
    from shared.schemas.experiment.config import ExperimentConfig


@dataclass(frozen=True, slots=True)
class Initiation:
    """Whether a vote was called.

    Attributes:
        initiator: by whom, if anybody.
        answers: of those who were asked, in the configuration's order.
    """

    initiator: str | None
    answers: tuple[InitiationAnswer, ...]


class Poll:
    """Finds out whether somebody wants to vote now.

    Args:
        config: of the run: ``initiation`` (``first_yes`` stops at the first yes, in the configuration's
            order; ``all`` asks everybody at once and takes the first yes of an order that is drawn) and
            ``phase2_settings.prompt_based_voting`` (off: nobody is asked; a vote is called by the first who
            has the line ``voting.call.line`` in a statement).
        agents: all of them, in the configuration's order.
        journal: of the run.
    """

    def __init__(
        self, config: ExperimentConfig, agents: Sequence[ParticipantAgent], journal: Journal
    ) -> None:
        self._config = config
        self._agents = agents
        self._journal = journal

    async def hold(self, state: DiscussionState) -> Initiation:
        """Ask whom the configuration has asked; an answer that cannot be read is a no."""
        if not self._config.phase2_settings.prompt_based_voting:
            return _called_in_statements(self._agents, state)
        if str(self._config.initiation) == "all":
            return await self._everybody(state)
        answers: list[InitiationAnswer] = []
        for agent in self._agents:
            answer = await self._ask(agent, state)
            answers.append(answer)
            if answer.wants:
                return Initiation(agent.name, tuple(answers))
        return Initiation(None, tuple(answers))

    async def _everybody(self, state: DiscussionState) -> Initiation:
        names = [agent.name for agent in self._agents]
        order = self._journal.draw(
            StepKey(2, state.round, None, "vote/order"), lambda generator: generator.sample(names, len(names))
        )
        answers = await together(self._ask(agent, state) for agent in self._agents)
        willing = {answer.agent for answer in answers if answer.wants}
        return Initiation(next((name for name in order if name in willing), None), tuple(answers))

    async def _ask(self, agent: ParticipantAgent, state: DiscussionState) -> InitiationAnswer:
        settings, length = self._config.phase2_settings, self._config.voting_context_length
        heard = await agent.ask(
            StepKey(2, state.round, agent.name, "vote/initiation"),
            agent.text.text("voting.initiation", round=state.round, own=own_words(agent, state, length)),
            AgreementReader(),
            tries=settings.max_statement_retries,
            timeout=float(settings.statement_timeout_seconds),
            context=discussed(agent, self._agents, state, length),
        )
        return InitiationAnswer(wants=heard.value is True, **heard.spoken(agent))


def calls_a_vote(statement: str, text: LanguageManager) -> bool:
    """Whether a line of the statement is the one by which a vote is called, and nothing else."""
    line = _plain(text.text("voting.call.line"))
    return any(_plain(said) == line for said in statement.splitlines())


def _called_in_statements(agents: Sequence[ParticipantAgent], state: DiscussionState) -> Initiation:
    answers = [
        InitiationAnswer(
            agent=said.agent,
            text=said.public,
            memory=said.memory,
            balance=said.balance,
            steps=said.steps,
            wants=not said.quarantined and calls_a_vote(said.public, agent.text),
        )
        for agent in agents
        if (said := state.statements.get(agent.name)) is not None
    ]
    calling = {answer.agent for answer in answers if answer.wants}
    # Statements are in the order of speaking: who said it first has called the vote.
    return Initiation(next((name for name in state.statements if name in calling), None), tuple(answers))


def _plain(line: str) -> str:
    """Letters and digits only: how a model decorates a line does not matter."""
    folded = unicodedata.normalize("NFKC", line).casefold()
    return "".join(character for character in folded if character.isalnum())
