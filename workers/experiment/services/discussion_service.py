"""How the group talks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from workers.experiment.agenda import proposable, proposal_question, without_proposal
from workers.experiment.agents.participant import ParticipantAgent
from workers.experiment.history import EntryKind, PublicHistory, one_line
from workers.experiment.languages.manager import LanguageManager, load
from workers.experiment.reading.free_text import TextReader, clean
from workers.experiment.reading.reader import UnreadableError
from workers.experiment.records import Statement
from workers.experiment.services.discussion.asking import FailureJudge, StatementQuestion
from workers.experiment.services.protocols import StatementValidation
from workers.experiment.steps.journal import Journal
from workers.experiment.steps.key import StepKey

if TYPE_CHECKING:
    from shared.schemas.experiment.config import ExperimentConfig


class DiscussionService:
    """Has the agents think, if they are to, and speak; each reads what was said before.

    Args:
        config: of the experiment.
        agents: everybody in the group, in the configuration's order.
        journal: of the run.
        judge: classifies statements that will not do; asked only with ``enable_intelligent_retries``.
        text: of the experiment's language, in which the history is kept.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        agents: Sequence[ParticipantAgent],
        journal: Journal,
        judge: FailureJudge,
        text: LanguageManager | None = None,
    ) -> None:
        self._config = config
        self._settings = config.phase2_settings
        self._names = tuple(agent.name for agent in agents)
        self._question = StatementQuestion(config, journal, judge)
        self._text = text or load(config.language)

    def build_discussion_prompt(
        self, round_num: int, speaking_agent: ParticipantAgent, history: PublicHistory
    ) -> str:
        """What the speaker is asked: short, for the history travels in the system prompt."""
        text = speaking_agent.text
        asked = "first" if round_num == 1 else "later"
        if round_num == self._config.phase2_rounds and round_num > 1:
            asked = "last"
        question = text.text(f"discussion.statement.{asked}", name=speaking_agent.name)
        if self._config.open_agenda and (further := proposable(history.agenda)):
            question = f"{question}\n\n{proposal_question(text, further)}"
        if not self._settings.prompt_based_voting and round_num >= self._config.minimum_rounds:
            call = text.text("voting.call.instruction", line=text.text("voting.call.line"))
            question = f"{question}\n\n{call}"
        return question

    def build_reasoning_prompt(self, round_num: int, agent: ParticipantAgent) -> str:
        """What an agent is asked to think about for itself: at length in round 1, shortly later."""
        asked = "first" if round_num == 1 else "later"
        return agent.text.text(f"discussion.reasoning.{asked}", name=agent.name)

    def build_context(self, round_num: int, agent: ParticipantAgent, history: PublicHistory) -> str:
        """What an agent knows of the group when it thinks or speaks: who it is, the agenda, the history."""
        text = agent.text
        said = self.manage_discussion_history_length(
            history, self._settings.public_history_max_length, reader=agent.name
        )
        return text.text(
            "discussion.context",
            round=round_num,
            rounds=self._config.phase2_rounds,
            stake=text.text(f"discussion.stake.{self._config.frame}"),
            group=self.format_group_composition(self._names, text),
            agenda="\n".join(
                text.text(
                    "discussion.agenda_line", number=principle.number, principle=text.principle(principle)
                )
                for principle in history.agenda
            ),
            history=said or text.text("discussion.history_empty"),
        )

    def validate_statement(self, statement: str, language_manager: LanguageManager) -> StatementValidation:
        """Whether it says enough: it must not be empty and, where validation is on, be long enough.

        What length is asked for follows from the script that it is written in: who is spoken to in Mandarin
        may answer in English, and the other way round.
        """
        try:
            self._question.reader.read(statement)
        except UnreadableError as error:
            return StatementValidation(valid=False, code=error.code)
        return StatementValidation(valid=True)

    def manage_discussion_history_length(
        self, history: PublicHistory, max_length: int, *, reader: str | None = None
    ) -> str:
        """The history in at most ``max_length`` characters, of whole entries (see :class:`PublicHistory`).

        A reader's own private reasoning is in it only with ``phase2_include_internal_reasoning_in_memory``.
        """
        own = reader if self._config.phase2_include_internal_reasoning_in_memory else None
        return history.truncated(max_length, own)

    def format_group_composition(self, agents: Sequence[str], language_manager: LanguageManager) -> str:
        """Who is in the group, in words."""
        form = {1: "alone", 2: "pair"}.get(len(agents), "more")
        return language_manager.text(
            f"discussion.group.{form}", names=language_manager.names(agents), count=len(agents)
        )

    async def conduct_round(
        self,
        number: int,
        order: Sequence[ParticipantAgent],
        history: PublicHistory,
        *,
        reminders: Mapping[str, str] | None = None,
        said: Callable[[Statement], None] | None = None,
    ) -> tuple[Statement, ...]:
        """Have every agent of ``order`` speak; their statements are appended to ``history``.

        An agent without a valid statement is quarantined: a neutral line stands for it, the round goes on.

        Args:
            number: of the round.
            order: who speaks, in turn.
            history: of the group; a principle that is proposed is put on its agenda.
            reminders: by agent: what it is told before it thinks, and nobody else.
            said: is told each statement as soon as it was made.
        """
        statements: list[Statement] = []
        for agent in order:
            statement = await self._speak(number, agent, history, (reminders or {}).get(agent.name))
            self._publish(statement, history)
            statements.append(statement)
            if said is not None:
                said(statement)
        return tuple(statements)

    async def _speak(
        self, number: int, agent: ParticipantAgent, history: PublicHistory, reminder: str | None
    ) -> Statement:
        memory, balance = agent.memory, agent.balance
        context = self.build_context(number, agent, history)
        reasoning, thinking = await self._reason(number, agent, context, reminder)
        question = self.build_discussion_prompt(number, agent, history)
        if reasoning is not None:
            question = (
                f"{agent.text.text('discussion.statement.reasoning', reasoning=reasoning)}\n\n{question}"
            )
        attempt = await self._question.ask(
            StepKey(2, number, agent.name, "statement"), agent, question, context
        )
        public, quarantined, proposal = attempt.value, False, None
        if public is None and not self._settings.quarantine_failed_responses:
            public = clean(attempt.text) or None
        if public is not None:
            public = self._without_label(public, number, agent)
        if public is not None and self._config.open_agenda:
            public, proposal = without_proposal(public, proposable(history.agenda))
        if public is None:
            public, quarantined = self._unavailable(number, agent.name), True
        return Statement(
            agent=agent.name,
            text=attempt.text,
            memory=memory,
            balance=balance,
            steps=(*thinking, *attempt.steps),
            warnings=tuple(attempt.warnings),
            round=number,
            public=public,
            reasoning=reasoning,
            quarantined=quarantined,
            proposal=proposal,
        )

    async def _reason(
        self, number: int, agent: ParticipantAgent, context: str, reminder: str | None
    ) -> tuple[str | None, tuple[str, ...]]:
        """What the agent thinks for itself; without a readable thought it speaks all the same."""
        if not (self._settings.reasoning_enabled and agent.config.reasoning_enabled):
            return None, ()
        question = self.build_reasoning_prompt(number, agent)
        heard = await agent.ask(
            StepKey(2, number, agent.name, "reasoning"),
            f"{question}\n\n{reminder}" if reminder else question,
            TextReader(),
            tries=self._settings.reasoning_max_retries,
            timeout=float(self._settings.reasoning_timeout_seconds),
            context=context,
        )
        return heard.value, heard.steps

    def _without_label(self, statement: str, number: int, agent: ParticipantAgent) -> str:
        """A statement without the label that it gets in the history: models copy what they read there."""
        labels = [
            text.text("discussion.line.statement", round=number, name=agent.name, statement="").strip()
            for text in (self._text, agent.text)
        ]
        for label in (*labels, f"{agent.name}:", f"{agent.name}："):
            rest = statement.removeprefix(label).strip()
            if rest and rest != statement:
                return rest
        return statement

    def _unavailable(self, number: int, name: str) -> str:
        return self._text.text("discussion.line.unavailable", round=number, name=name)

    def _publish(self, statement: Statement, history: PublicHistory) -> None:
        name, number = statement.agent, statement.round
        line = one_line(statement.public)
        if not statement.quarantined:
            line = self._text.text("discussion.line.statement", round=number, name=name, statement=line)
        reasoning = statement.reasoning and self._text.text(
            "discussion.line.reasoning", round=number, name=name, reasoning=one_line(statement.reasoning)
        )
        history.add(EntryKind.STATEMENT, number, line, agent=name, reasoning=reasoning)
        if statement.proposal is not None and history.propose(statement.proposal):
            told = self._text.text(
                "discussion.line.proposal",
                round=number,
                name=name,
                number=statement.proposal.number,
                principle=self._text.principle(statement.proposal),
            )
            history.add(EntryKind.AGENDA, number, told, agent=name)
