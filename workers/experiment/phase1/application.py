"""Reading a paid choice: the choice, how sure the agent is of it, and its reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.schemas.experiment.terms import Certainty
from workers.experiment.reading import json_answer
from workers.experiment.reading.choice import ChoiceReader
from workers.experiment.reading.free_text import clean
from workers.experiment.records import Choice

#: Under which names JSON answers give the reasons.
_NAMES = ("reasons", "reason", "reasoning", "razones", "razón", "motivos", "motivo", "理由", "原因")


@dataclass(frozen=True, slots=True)
class Application:
    """What an agent chose, and why, in its own words."""

    choice: Choice
    certainty: Certainty | None
    reasons: str


class ApplicationReader:
    """Reads a choice with reasons.

    Reasons may weigh other principles: inside the object they are not looked at for the choice.

    Args:
        choice: reads everything else.
    """

    name = "application"

    def __init__(self, choice: ChoiceReader) -> None:
        self._choice = choice

    @property
    def schema(self) -> dict[str, Any] | None:
        """That of a choice, and first the reasons: a model thinks before it chooses."""
        schema = self._choice.schema
        if schema is None:
            return None
        properties = {"reasons": {"type": "string"}, **schema["properties"]}
        return {**schema, "properties": properties, "required": list(properties)}

    def read(self, text: str) -> Application:
        """The choice in ``text``; an answer without reasons is one, too.

        Raises:
            UnreadableError: see :meth:`ChoiceReader.read`.
        """
        choice, certainty = self._choice.read(text)
        answer = json_answer.find(text)
        given = [value for value in answer.values(_NAMES) if isinstance(value, str)]
        return Application(choice, certainty, clean("\n".join(given) if given else _around(answer)))


def _around(answer: json_answer.JsonAnswer) -> str:
    """The text around the object; of an answer without one, all of it."""
    return "\n".join(line for line in answer.rest.splitlines() if not line.lstrip().startswith("```"))
