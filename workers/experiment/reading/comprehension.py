"""Reading the answers to the comprehension test: one number for each question."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from workers.experiment.reading import json_answer
from workers.experiment.reading.reader import UnreadableError
from workers.experiment.reading.script import plain

#: Under which names JSON answers give them.
NAMES = ("answers", "answer", "respuestas", "respuesta", "答案", "回答")

_LINE = re.compile(
    r"(?:question|pregunta|问题|第)?\s*(\d{1,2})\s*题?\s*[:.)=-]\s*"
    r"(?:distribution |distribución |分配(?:方案)?\s*)?(\d)\.?"
)
_LIST = re.compile(r"\d(?:\s*[,;]\s*\d)*")


class ComprehensionReader:
    """Reads the number that answers each question.

    Read are a JSON object with ``answers`` (a list, or the answers by the questions' numbers), a list of
    numbers and nothing else, and a line for each question (``1: 4``).

    Args:
        questions: how many there are.
        options: how many answers each has, from 1.
    """

    name = "comprehension"

    def __init__(self, questions: int, options: int) -> None:
        self._questions = questions
        self._options = options

    @property
    def schema(self) -> dict[str, Any] | None:
        """``{"answers": [4, 1, 3, 2]}``."""
        return {
            "type": "object",
            "properties": {
                "answers": {
                    "type": "array",
                    "items": {"type": "integer", "enum": list(range(1, self._options + 1))},
                    "minItems": self._questions,
                    "maxItems": self._questions,
                }
            },
            "required": ["answers"],
            "additionalProperties": False,
        }

    def read(self, text: str) -> tuple[int, ...]:
        """The answers, in the questions' order.

        Raises:
            UnreadableError: ``empty_response``, ``answers_unclear``, ``answers_missing`` (``questions``: how
                many there are) or ``contradiction``.
        """
        found = json_answer.find(text).one(NAMES, self._value, "contradiction")
        return self._plain(plain(text)) if found is None else found

    def _value(self, value: Any) -> tuple[int, ...]:
        if isinstance(value, str):
            return self._plain(plain(value))
        if isinstance(value, Mapping):
            numbered = {re.sub(r"\D", "", key): entry for key, entry in value.items()}
            value = [numbered.get(str(number + 1)) for number in range(len(value))]
        if not isinstance(value, list):
            raise UnreadableError("answers_unclear")
        return self._all([_number(entry) for entry in value])

    def _plain(self, text: str) -> tuple[int, ...]:
        text = text.strip(" .[]()")
        if not text:
            raise UnreadableError("empty_response")
        if _LIST.fullmatch(text):
            return self._all([int(digit) for digit in re.findall(r"\d", text)])
        lines = [_LINE.fullmatch(line.strip()) for line in text.splitlines()]
        pairs = [(int(match.group(1)), int(match.group(2))) for match in lines if match is not None]
        if len(pairs) != len(lines) or [number for number, _ in pairs] != list(range(1, len(pairs) + 1)):
            raise UnreadableError("answers_unclear")
        return self._all([answer for _, answer in pairs])

    def _all(self, answers: list[int]) -> tuple[int, ...]:
        if len(answers) != self._questions:
            raise UnreadableError("answers_missing", questions=self._questions)
        if not all(1 <= answer <= self._options for answer in answers):
            raise UnreadableError("answers_unclear")
        return tuple(answers)


def _number(value: Any) -> int:
    if isinstance(value, str) and value.strip().isdigit():
        value = Decimal(value.strip()[:3])
    if isinstance(value, Decimal) and 0 <= value <= 99 and value == int(value):
        return int(value)
    raise UnreadableError("answers_unclear")
