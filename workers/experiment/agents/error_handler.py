"""The error handler: what kinds of failure an answer can have, and how often each is asked again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from workers.experiment.languages.manager import LanguageManager
from workers.experiment.reading.reader import UnreadableError
from workers.experiment.steps.journal import Step
from workers.experiment.steps.model_call import StepOutcome

#: Characters of an answer that are quoted back: in a short hint, and in a detailed one.
QUOTED, QUOTED_IN_DETAIL = 80, 300


class FailureCategory(StrEnum):
    """Why an answer has no value, by what can be done about it."""

    #: The model took too long: the same question again.
    TIME_OUT = "timed_out"
    #: The provider refuses this very request: asking again would be refused again.
    REFUSAL = "refused"
    #: There is an answer, and it does not say what was asked: the question again, with what was wrong.
    UNREADABLE = "unreadable"

    @property
    def asked_again(self) -> bool:
        """Whether another try can help."""
        return self is not FailureCategory.REFUSAL


def category(step: Step[Any]) -> FailureCategory | None:
    """What kind of failure a step is; ``None`` when its answer was read."""
    if step.outcome is StepOutcome.TIMED_OUT:
        return FailureCategory.TIME_OUT
    if step.outcome is StepOutcome.REFUSED:
        return FailureCategory.REFUSAL
    return None if step.unreadable is None else FailureCategory.UNREADABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorHandler:
    """How the agents of a run are asked again.

    Attributes:
        retries: how often a question of phase 1 is asked again (``max_participant_retries``).
        classified: whether the utility agent says what is wrong with a statement
            (``enable_intelligent_retries``).
        progressive: whether hints grow from try to try (``enable_progressive_guidance``).
        detailed: whether the first hint is a detailed one (``retry_feedback_detail: detailed``).
    """

    retries: int = 2
    classified: bool = True
    progressive: bool = True
    detailed: bool = False

    @property
    def tries(self) -> int:
        """How often a question is asked where the protocol does not say otherwise."""
        return self.retries + 1

    def hint(
        self, text: LanguageManager, answer: str, error: UnreadableError, reader: str, failed: int
    ) -> str:
        """What an agent is told with its question when ``failed`` answers could not be read.

        The answer is quoted as it was, cut to what a hint needs; a detailed hint also repeats the form of the
        answer (``reading.form.<reader>``).
        """
        detailed = self.detailed or (self.progressive and failed > 1)
        reason = f"reading.{error.code}"
        told = text.text("reading.no_reason")
        if text.has(reason):
            told = text.text(reason, **_in_words(text, error))
        hint = text.text(
            "reading.again", quote=_quote(answer, QUOTED_IN_DETAIL if detailed else QUOTED), reason=told
        )
        form = f"reading.form.{reader}"
        if detailed and text.has(form):
            hint = f"{hint}\n{text.text(form)}"
        return hint


def _in_words(text: LanguageManager, error: UnreadableError) -> dict[str, object]:
    """The details of an error; those that are amounts as the language writes money."""
    return {
        name: text.money(value) if name.endswith("_amount") and isinstance(value, int) else value
        for name, value in error.details.items()
    }


def _quote(answer: str, limit: int) -> str:
    line = " ".join(answer.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
