"""Reading which principle the utility agent hears in a statement."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any

from shared.schemas.experiment.terms import Principle
from workers.experiment.reading import json_answer
from workers.experiment.reading.principle import PrincipleReader
from workers.experiment.reading.script import plain


class NoPrinciple(StrEnum):
    """A statement that speaks for no principle."""

    NONE = "none"


_NONE = frozenset({"0", "none", "null", "ninguno", "无"})


class FavouredReader:
    """Reads a principle, or that there is none: ``{"principle": 3}``, ``{"principle": 0}``."""

    name = "favoured"

    def __init__(self) -> None:
        self._principle = PrincipleReader(tuple(Principle))

    @property
    def schema(self) -> dict[str, Any] | None:
        """``{"principle": 3}``; 0 is none."""
        return {
            "type": "object",
            "properties": {"principle": {"type": "integer", "enum": list(range(len(Principle) + 1))}},
            "required": ["principle"],
            "additionalProperties": False,
        }

    def read(self, text: str) -> Principle | NoPrinciple:
        """The principle.

        Raises:
            UnreadableError: see :meth:`PrincipleReader.read`.
        """
        found = json_answer.find(text).one(("principle",), self._value, "multiple_principles")
        if found is not None:
            return found
        return self._value(text)

    def _value(self, value: Any) -> Principle | NoPrinciple:
        if value is None or (isinstance(value, Decimal) and value == 0):
            return NoPrinciple.NONE
        if isinstance(value, str) and plain(value).strip(" .\"'") in _NONE:
            return NoPrinciple.NONE
        return self._principle.value(value)
