"""The utility agent: a model that helps with the run and takes no part in it. It never counts votes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from shared.schemas.experiment.terms import Principle
from workers.experiment.languages.manager import LanguageManager
from workers.experiment.reading.favoured import FavouredReader, NoPrinciple
from workers.experiment.reading.free_text import FailureReader, StatementFailure, TextReader
from workers.experiment.reading.reader import Reader, UnreadableError
from workers.experiment.steps.journal import Journal, Step
from workers.experiment.steps.key import StepKey
from workers.experiment.steps.model_call import ModelCall

if TYPE_CHECKING:
    from shared.schemas.experiment.config import ExperimentConfig

T = TypeVar("T")

#: How often the utility agent is asked for one thing: what it says is a help, never a vote.
TRIES = 2


class UtilityAgent:
    """Asks the utility model of a run.

    Args:
        journal: of the run.
        config: of the run.
        text: in the experiment's language.
    """

    def __init__(self, journal: Journal, config: ExperimentConfig, text: LanguageManager) -> None:
        self._journal = journal
        self._text = text
        self._timeout = float(config.phase2_settings.statement_timeout_seconds)
        self._structured = str(config.structured_output) != "off"

    async def classify_failure(self, key: StepKey, statement: str) -> StatementFailure:
        """What is wrong with a statement that will not do; an empty one needs no model to tell.

        Args:
            key: of the statement; the question is its part ``failure``.
            statement: the answer as it was given.
        """
        if not statement.strip():
            return StatementFailure.EMPTY_RESPONSE
        question = self._text.text("utility.failure", statement=_within("answer", statement))
        said = await self._ask(key.part("failure"), question, FailureReader())
        return said or StatementFailure.TOO_SHORT

    async def classified(
        self, key: StepKey, answer: str, error: UnreadableError, steps: list[str]
    ) -> UnreadableError:
        """``error`` as the utility agent sees it, when it is about a statement; its step joins ``steps``."""
        if error.code not in {failure.value for failure in StatementFailure}:
            return error
        failure = await self.classify_failure(key, answer)
        if answer.strip():
            steps.append(key.part("failure").path)
        return UnreadableError(failure.value, **error.details)

    async def favoured_principle(self, key: StepKey, statement: str) -> Principle | None:
        """The principle that a statement speaks for; ``None`` when it speaks for none, or nobody can tell."""
        if not statement.strip():
            return None
        question = self._text.text(
            "utility.favoured", statement=_within("statement", statement), principles=self._principles()
        )
        for number in range(1, TRIES + 1):
            found = await self._ask(key.at_try(number), question, FavouredReader())
            if found is not None:
                return None if isinstance(found, NoPrinciple) else found
        return None

    async def compress(self, key: StepKey, memory: str, limit: int) -> str | None:
        """``memory`` in fewer than ``limit`` characters; ``None`` when the model did not keep to that."""
        memory = _within("notes", memory)
        question = self._text.text("utility.compress", memory=memory, limit=limit)
        for number in range(1, TRIES + 1):
            shorter = await self._ask(key.at_try(number), question, TextReader())
            if shorter is not None and len(shorter) <= limit:
                return shorter
            question = self._text.text("utility.compress_more", memory=memory, limit=limit // (number + 1))
        return None

    def _principles(self) -> str:
        return "\n".join(f"{principle.number} = {self._text.principle(principle)}" for principle in Principle)

    async def _ask(self, key: StepKey, question: str, reader: Reader[T]) -> T | None:
        step: Step[T] = await self._journal.call(
            key,
            ModelCall(
                role=None,
                system=self._text.text("utility.system"),
                user=question,
                timeout=self._timeout,
                schema=reader.schema if self._structured else None,
                schema_name=reader.name,
            ),
            reader,
        )
        return step.value


def _within(tag: str, material: str) -> str:
    """``material`` without the tags that it stands between: it cannot end itself and go on as a question."""
    return re.sub(rf"<(\s*/?\s*{tag}\s*)>", r"(\1)", material, flags=re.IGNORECASE)
