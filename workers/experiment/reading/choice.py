"""Reading a choice: a principle with how sure the agent is, and with its amount where it needs one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.schemas.experiment.terms import Certainty, Language, Principle
from workers.experiment.reading import certainty, json_answer, wording
from workers.experiment.reading.amount import NAMES as AMOUNT_NAMES
from workers.experiment.reading.amount import AmountReader
from workers.experiment.reading.mentions import mentions, without
from workers.experiment.reading.principle import OTHER_NAMES, PrincipleReader
from workers.experiment.reading.reader import UnreadableError
from workers.experiment.reading.script import plain
from workers.experiment.records import Choice

_CERTAINTY = {"type": "string", "enum": [level.value for level in Certainty]}
#: "answer" may hold either of the two: here each is asked for under its own name.
_AMOUNT_NAMES = tuple(name for name in AMOUNT_NAMES if name not in OTHER_NAMES)


class BallotReader:
    """Reads a principle and, where the answer gives it, the certainty (see :class:`PrincipleReader`).

    A certainty that is missing or unclear is ``None``, and costs nobody a vote.
    """

    name = "ballot"

    def __init__(self, agenda: Sequence[Principle], language: Language = Language.ENGLISH) -> None:
        self._principle = PrincipleReader(agenda, language)

    @property
    def schema(self) -> dict[str, Any] | None:
        """``{"principle": 3, "certainty": "sure"}``."""
        return _object(self._principle.schema, certainty=_CERTAINTY)

    def read(self, text: str) -> tuple[Principle, Certainty | None]:
        """The principle that ``text`` chooses, and how sure it is.

        Raises:
            UnreadableError: see :meth:`PrincipleReader.read`.
        """
        answer = json_answer.find(text)
        principle = self._principle.within(answer)
        if principle is not None:
            return principle, _certainty(answer)
        rest, sure = certainty.split(plain(text))
        return self._principle.plain(rest), sure


class ChoiceReader:
    """Reads a principle, its amount and the certainty out of one answer.

    A principle without a constraint is a choice whatever stands under ``amount``; one with a constraint is
    none without an amount that can be read.

    Args:
        agenda: see :class:`PrincipleReader`.
        language: see :class:`AmountReader`.
        minimum: likewise.
        maximum: likewise.
        with_certainty: whether a certainty is asked for; it is read where it is given.
    """

    name = "choice"

    def __init__(
        self,
        agenda: Sequence[Principle],
        language: Language,
        minimum: int = 1,
        maximum: int | None = None,
        *,
        with_certainty: bool = True,
    ) -> None:
        self._principle = PrincipleReader(agenda, language)
        self._amount = AmountReader(language, minimum, maximum)
        self._with_certainty = with_certainty

    @property
    def schema(self) -> dict[str, Any] | None:
        """``{"principle": 3, "amount": 15000, "certainty": "sure"}``; the amount may be ``null``."""
        more: dict[str, Any] = {"amount": {"type": ["integer", "null"]}}
        if self._with_certainty:
            more["certainty"] = _CERTAINTY
        return _object(self._principle.schema, **more)

    def read(self, text: str) -> tuple[Choice, Certainty | None]:
        """The choice in ``text``, and how sure it is.

        Raises:
            UnreadableError: ``amount_missing``, or as :meth:`PrincipleReader.read` and
                :meth:`AmountReader.read`.
        """
        answer = json_answer.find(text)
        principle = self._principle.within(answer)
        if principle is None:
            return self._plain(plain(text))
        if not principle.constrained:
            return Choice(principle), _certainty(answer)
        given = json_answer.JsonAnswer(answer.objects, "").values(_AMOUNT_NAMES)
        said = [value for value in given if value is not None]
        if not said:
            raise UnreadableError("amount_missing")
        amounts = {self._amount.value(value) for value in said}
        if len(amounts) > 1:
            raise UnreadableError("multiple_amounts")
        return Choice(principle, amounts.pop()), _certainty(answer)

    def _plain(self, text: str) -> tuple[Choice, Certainty | None]:
        rest, sure = certainty.split(text)
        principle = self._principle.plain(rest)
        if not principle.constrained:
            return Choice(principle), sure
        try:
            amount = self._amount.plain(_besides(rest))
        except UnreadableError as error:
            raise UnreadableError("amount_missing") if error.code in _NO_AMOUNT else error from None
        return Choice(principle, amount), sure


_NO_AMOUNT = frozenset({"no_amount", "empty_response"})


def _besides(text: str) -> str:
    """``text`` without the principle; a number alone in its line or at the start names the principle too."""
    found = mentions(text)
    if found:
        return without(text, found)
    head, _, tail = text.partition("\n") if "\n" in text else text.partition(",")
    return tail if head.strip(" .()").isdigit() else wording.without_small_number(text)


def _certainty(answer: json_answer.JsonAnswer) -> Certainty | None:
    return certainty.merge([certainty.certainty_value(value) for value in answer.values(certainty.NAMES)])


def _object(base: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    assert base is not None
    properties = {**base["properties"], **more}
    return {**base, "properties": properties, "required": list(properties)}
