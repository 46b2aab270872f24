"""How a statement is asked for, and asked for again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from workers.experiment.agents.participant import ParticipantAgent
from workers.experiment.reading.free_text import StatementFailure, StatementReader, clean
from workers.experiment.steps.journal import Journal, Step
from workers.experiment.steps.key import StepKey
from workers.experiment.steps.model_call import ModelCall, StepOutcome

if TYPE_CHECKING:
    from shared.schemas.experiment.config import ExperimentConfig

#: Characters of a failed statement that are quoted back to its author.
PREVIEW = 50


class FailureJudge(Protocol):
    """Says what is wrong with a statement; the utility agent does."""

    async def classify_failure(self, key: StepKey, statement: str) -> StatementFailure:
        """What is wrong with ``statement``; a model is asked under ``key``'s part ``failure``, if at all."""


@dataclass(slots=True)
class Attempt:
    """What came of asking for a statement, all tries together."""

    value: str | None = None
    text: str = ""
    steps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class StatementQuestion:
    """Asks agents for statements, as often as it takes and the configuration allows.

    Args:
        config: of the experiment.
        journal: of the run.
        judge: classifies statements that will not do; asked only with ``enable_intelligent_retries``.
    """

    def __init__(self, config: ExperimentConfig, journal: Journal, judge: FailureJudge) -> None:
        self._config = config
        self._settings = config.phase2_settings
        self._journal = journal
        self._judge = judge

    @property
    def reader(self) -> StatementReader:
        """Reads statements that are long enough or, without validation, that are not empty."""
        settings = self._settings
        if not settings.statement_validation_enabled:
            return StatementReader(1, 1)
        return StatementReader(settings.min_statement_length, settings.min_statement_length_cjk)

    async def ask(self, key: StepKey, agent: ParticipantAgent, question: str, context: str) -> Attempt:
        """Ask for a statement until it will do; each further try is told more, and follows at once."""
        reader = self.reader
        system = agent.system_prompt(context=context)
        attempt = Attempt()
        asked = question
        tries = self._settings.max_statement_retries
        for number in range(1, tries + 1):
            at = key.at_try(number)
            step: Step[str] = await self._journal.call(
                at,
                ModelCall(
                    role=agent.name,
                    system=system,
                    user=asked,
                    timeout=float(self._settings.statement_timeout_seconds),
                    schema=reader.schema if str(self._config.structured_output) != "off" else None,
                    schema_name=reader.name,
                ),
                reader,
            )
            attempt.steps.append(step.path)
            attempt.text = step.text if step.outcome is StepOutcome.ANSWERED else attempt.text
            if step.failure is None:
                attempt.value = step.value
                break
            attempt.warnings.append(step.failure)
            if step.outcome is StepOutcome.REFUSED or number == tries:
                break
            if step.unreadable is not None:
                told = await self._feedback(at, agent, step, attempt, last=number + 1 == tries)
                asked = f"{question}\n\n{told}"
        return attempt

    async def _feedback(
        self, key: StepKey, agent: ParticipantAgent, step: Step[str], attempt: Attempt, *, last: bool
    ) -> str:
        """What was wrong, in the agent's language; where guidance is progressive, more from try to try."""
        said = clean(step.text)
        failure = StatementFailure.EMPTY_RESPONSE
        minimum = self._settings.statement_length(agent.text.language)
        if said and step.unreadable is not None:
            failure = StatementFailure(step.unreadable.code)
            # Of the script that it is written in, which need not be that of the agent's language.
            minimum = step.unreadable.details.get("minimum", minimum)
        if said and self._config.enable_intelligent_retries:
            failure = await self._judge.classify_failure(key, said)
            attempt.steps.append(key.part("failure").path)
        text, preview = agent.text, preview_of(said)
        lines = [
            text.text("discussion.feedback.preview", preview=preview)
            if preview
            else text.text("discussion.feedback.nothing"),
            text.text(f"discussion.feedback.{failure.value}", minimum=minimum),
        ]
        detailed = self._config.retry_feedback_detail == "detailed"
        if detailed or not self._config.enable_progressive_guidance or len(attempt.warnings) > 1:
            lines.append(text.text("discussion.feedback.example"))
        if last and self._config.enable_progressive_guidance:
            lines.append(text.text("discussion.feedback.last_try"))
        return "\n".join(lines)


def preview_of(statement: str) -> str:
    """The beginning of a statement in one line, of at most ``PREVIEW`` characters."""
    line = " ".join(statement.split())
    return line if len(line) <= PREVIEW else f"{line[: PREVIEW - 1]}…"
