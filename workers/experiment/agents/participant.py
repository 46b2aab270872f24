"""A participant: what an agent is, and how it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from shared.schemas.experiment.terms import Language
from workers.experiment.agents.error_handler import ErrorHandler, FailureCategory, category
from workers.experiment.languages.manager import LanguageManager, load
from workers.experiment.reading.reader import Reader
from workers.experiment.steps.journal import Journal
from workers.experiment.steps.key import StepKey
from workers.experiment.steps.model_call import ModelCall, StepOutcome

if TYPE_CHECKING:
    from shared.schemas.experiment.agent_config import AgentConfig
    from shared.schemas.experiment.config import ExperimentConfig
    from workers.experiment.agents.utility import UtilityAgent

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard(Generic[T]):
    """What came of a question, all tries together.

    Attributes:
        value: what the answer says; ``None`` when none could be read.
        text: the raw answer that counted, or the last one that was given.
        steps: the paths of the steps, in order.
        warnings: why answers before the one that counted did not, in order.
        failure: of the last try: ``timed_out``, ``refused`` or the reader's code; ``None`` when there is a
            value.
        memory: of the agent when it was asked.
        balance: likewise.
    """

    value: T | None
    text: str = ""
    steps: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    failure: str | None = None
    memory: str = ""
    balance: Decimal = Decimal(0)

    def spoken(self, agent: ParticipantAgent) -> dict[str, Any]:
        """The fields of a :class:`~workers.experiment.records.Spoken`."""
        return {
            "agent": agent.name,
            "text": self.text,
            "memory": self.memory,
            "balance": self.balance,
            "steps": self.steps,
            "warnings": self.warnings,
        }


class ParticipantAgent:
    """One agent of one run.

    Args:
        config: of the agent.
        experiment: that it takes part in.
        journal: of the run.
        text: in its language.
        utility: says what is wrong with a statement; ``None``: the reader's own reason does.

    Attributes:
        name: unique in the run.
        role_description: who it is; a manipulator's instructions are put before it.
        memory: what it remembers, in its own words.
        balance: what it has earned so far, in dollars.
    """

    def __init__(
        self,
        config: AgentConfig,
        experiment: ExperimentConfig,
        journal: Journal,
        text: LanguageManager,
        utility: UtilityAgent | None = None,
    ) -> None:
        self.name: str = config.name
        self.config = config
        self.text = text
        self.role_description: str = config.personality
        self.memory = ""
        self.balance = Decimal(0)
        self.errors = ErrorHandler(
            retries=experiment.max_participant_retries,
            classified=experiment.enable_intelligent_retries,
            progressive=experiment.enable_progressive_guidance,
            detailed=experiment.retry_feedback_detail == "detailed",
        )
        self._experiment = experiment
        self._journal = journal
        self._utility = utility

    def system_prompt(self, *, context: str = "", memory: bool = True) -> str:
        """What stands before every question: who the agent is, and what it knows.

        Args:
            context: what it needs to know for this question besides, such as the public history.
            memory: whether its memory, its balance and the explanation of the experiment are in it. A ballot
                is asked without: numbers out of a memory find their way into answers.
        """
        parts = [self.text.text("agent.identity", name=self.name)]
        if self.role_description.strip():
            parts.append(self.text.text("agent.role", role=self.role_description.strip()))
        if memory and self._explained():
            parts.append(self._explanation())
        if memory:
            # What changes stands behind what only grows: providers reuse what they computed of a prompt up to
            # the first difference, and many charge less for it.
            remembered = self.memory.strip()
            parts.append(
                self.text.text("agent.memory", memory=remembered)
                if remembered
                else self.text.text("agent.no_memory")
            )
            parts.append(self.text.text("agent.balance", balance=self.text.money(self.balance)))
        if context.strip():
            parts.append(context.strip())
        parts.append(self.text.text("agent.language"))
        return "\n\n".join(parts)

    async def ask(
        self,
        key: StepKey,
        question: str,
        reader: Reader[T],
        *,
        tries: int,
        timeout: float,
        context: str = "",
        memory: bool = True,
    ) -> Heard[T]:
        """Ask until an answer can be read, at most ``tries`` times; each try is a step of its own.

        An unreadable answer is asked for again with a quote of it and what was wrong, a time-out unchanged; a
        refusal is not asked again.

        Args:
            key: of the question, without a try.
            question: what the agent is asked.
            reader: reads the answers.
            tries: at least 1.
            timeout: seconds, of each try.
            context: see :meth:`system_prompt`.
            memory: likewise.
        """
        if tries < 1:
            raise ValueError("A question is asked at least once.")
        system = self.system_prompt(context=context, memory=memory)
        remembered, balance = self.memory, self.balance
        structured = str(self._experiment.structured_output) != "off"
        asked, answer = question, ""
        steps: list[str] = []
        warnings: list[str] = []
        value: T | None = None
        failure: FailureCategory | None = None
        unreadable = 0
        for number in range(1, tries + 1):
            step_key = key.at_try(number)
            step = await self._journal.call(
                step_key,
                ModelCall(
                    role=self.name,
                    system=system,
                    user=asked,
                    timeout=timeout,
                    schema=reader.schema if structured else None,
                    schema_name=reader.name,
                ),
                reader,
            )
            steps.append(step.path)
            if step.outcome is StepOutcome.ANSWERED:
                answer = step.text
            failure = category(step)
            if failure is None:
                value = step.value
                break
            warnings.append(step.failure or failure.value)
            if not failure.asked_again or number == tries:
                break
            if step.unreadable is not None:
                unreadable += 1
                error = step.unreadable
                if self._utility is not None and self.errors.classified:
                    error = await self._utility.classified(step_key, step.text, error, steps)
                hint = self.errors.hint(self.text, step.text, error, reader.name, unreadable)
                asked = f"{question}\n\n{hint}"
        return Heard(
            value=value,
            text=answer,
            steps=tuple(steps),
            warnings=tuple(warnings),
            failure=None if failure is None else warnings[-1],
            memory=remembered,
            balance=balance,
        )

    def _explained(self) -> bool:
        experiment = self._experiment
        if not experiment.include_experiment_explanation:
            return False
        return experiment.include_experiment_explanation_each_turn or not self.memory.strip()

    def _explanation(self) -> str:
        if str(self._experiment.frame) == "loss":
            credit = self.text.money(self._experiment.loss_frame_credit)
            return self.text.text("agent.explanation_loss", credit=credit)
        return self.text.text("agent.explanation")


def make_agents(
    config: ExperimentConfig, journal: Journal, utility: UtilityAgent | None = None
) -> tuple[ParticipantAgent, ...]:
    """The agents of a run, in the configuration's order."""
    return tuple(
        ParticipantAgent(agent, config, journal, load(language_of(config, agent)), utility)
        for agent in config.agents
    )


def language_of(config: ExperimentConfig, agent: AgentConfig) -> Language:
    """The language that an agent is spoken to in: its own where the file gives one, else the experiment's."""
    return agent.language if "language" in agent.model_fields_set else config.language
