"""Reading free text: statements, explanations, thoughts, memories."""

from __future__ import annotations

import unicodedata
from enum import StrEnum
from typing import Any

from workers.experiment.reading import json_answer
from workers.experiment.reading.reader import UnreadableError
from workers.experiment.reading.script import plain, without_thoughts


class StatementFailure(StrEnum):
    """Why a statement will not do; ``reading.<value>`` tells the agent."""

    #: It says something, but less than is asked for.
    TOO_SHORT = "too_short"
    #: There is nothing.
    EMPTY_RESPONSE = "empty_response"
    #: There are words or signs, but nothing is said with them.
    MINIMAL_CONTENT = "minimal_content"


class TextReader:
    """Reads a text that says something: thoughts are taken off, and characters that no text has."""

    name = "text"
    schema: dict[str, Any] | None = None

    def read(self, text: str) -> str:
        """The text.

        Raises:
            UnreadableError: ``empty_response``.
        """
        said = clean(text)
        if not said:
            raise UnreadableError(StatementFailure.EMPTY_RESPONSE.value)
        return said


class StatementReader:
    """Reads a statement to the group.

    Args:
        minimum: characters that it must have.
        minimum_cjk: the same for a statement in Chinese, Japanese or Korean, which says more in fewer.
    """

    name = "statement"
    schema: dict[str, Any] | None = None

    def __init__(self, minimum: int = 1, minimum_cjk: int = 1) -> None:
        self._minimum = minimum
        self._minimum_cjk = minimum_cjk

    def read(self, text: str) -> str:
        """The statement.

        Raises:
            UnreadableError: ``empty_response``, ``minimal_content`` (signs without a word) or ``too_short``.
        """
        said = _unwrapped(clean(text))
        if not said:
            raise UnreadableError(StatementFailure.EMPTY_RESPONSE.value)
        if not any(character.isalpha() for character in said):
            raise UnreadableError(StatementFailure.MINIMAL_CONTENT.value, minimum=self._minimum)
        minimum = self._minimum_cjk if is_cjk(said) else self._minimum
        if len(said) < minimum:
            raise UnreadableError(StatementFailure.TOO_SHORT.value, minimum=minimum)
        return said


class FailureReader:
    """Reads what the utility agent takes a failed statement for."""

    name = "failure"

    @property
    def schema(self) -> dict[str, Any] | None:
        """``{"failure": "too_short"}``."""
        return {
            "type": "object",
            "properties": {
                "failure": {"type": "string", "enum": [failure.value for failure in StatementFailure]}
            },
            "required": ["failure"],
            "additionalProperties": False,
        }

    def read(self, text: str) -> StatementFailure:
        """The kind of failure.

        Raises:
            UnreadableError: ``unclear``.
        """
        found = json_answer.find(text).one(("failure",), _failure, "unclear")
        return _failure(text) if found is None else found


def clean(text: str) -> str:
    """``text`` without thoughts and control characters, and without blanks around it."""
    text = without_thoughts(text).replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs")).strip()


def is_cjk(text: str) -> bool:
    """Whether most letters of ``text`` are Chinese, Japanese or Korean."""
    letters = [character for character in text if character.isalpha()]
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in letters)
    return wide * 2 > len(letters)


def _unwrapped(text: str) -> str:
    """The statement of an answer that is a JSON object with one, and nothing else; else ``text``."""
    if not text.startswith(("{", "```")) or len(text) > json_answer.LONGEST:
        return text
    try:
        answer = json_answer.find(text)
    except UnreadableError:
        return text
    if len(answer.objects) != 1 or plain(answer.rest).strip(" `\njson"):
        return text
    values = answer.values(("statement", "message", "public_statement", "declaración", "mensaje", "发言"))
    return clean(values[0]) if len(values) == 1 and isinstance(values[0], str) else text


def _failure(value: Any) -> StatementFailure:
    word = plain(value).strip(" .\"'").replace(" ", "_") if isinstance(value, str) else ""
    if word not in {failure.value for failure in StatementFailure}:
        raise UnreadableError("unclear")
    return StatementFailure(word)
