"""Reading which principle an answer names. It is a vote: it is taken literally, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Language, Principle
from workers.experiment.reading import json_answer, wording
from workers.experiment.reading.mentions import letter, mentions, number_word, without
from workers.experiment.reading.numerals import Numeral, blanked, numerals
from workers.experiment.reading.reader import UnreadableError
from workers.experiment.reading.script import plain

#: Under which names JSON answers give it.
NAMES = (
    "principle",
    "principio",
    "原则",
    "principle_number",
    "principle_id",
)
#: Under which they may give it, or something else.
OTHER_NAMES = (
    "choice",
    "vote",
    "answer",
    "option",
    "elección",
    "voto",
    "respuesta",
    "opción",
    "选择",
    "答案",
    "选项",
)

#: Numbers up to this are taken for numbers of principles, others for something else.
_LIKE_A_PRINCIPLE = 9
#: Numbers from here on are taken for amounts.
_LIKE_AN_AMOUNT = 100


class PrincipleReader:
    """Reads the choice of one principle.

    Read are a JSON object with ``principle`` (a number, an id, a name; in a fence, with text around), and the
    plain answer: a number and nothing else, ``principle 3`` or its name in one of the languages, or a
    sentence that chooses it (``I choose principle 3 because …``). A letter counts as the whole answer or
    right after such a word: ``(c)``, ``principle c``. Amounts, shares and larger numbers never name a
    principle; an answer that names two, or that negates, asks, supposes or reports, is not read.

    Args:
        agenda: the principles that can be chosen, under their own numbers
            (:attr:`~shared.schemas.experiment.terms.Principle.number`).
        language: of the agent; for the styles of other numbers in the answer.
    """

    name = "principle"

    def __init__(
        self, agenda: Sequence[Principle] = FOUR_PRINCIPLES, language: Language = Language.ENGLISH
    ) -> None:
        self.agenda = tuple(agenda)
        self._language = language
        self._numbers = {principle.number: principle for principle in self.agenda}

    @property
    def schema(self) -> dict[str, Any] | None:
        """``{"principle": 3}``."""
        return {
            "type": "object",
            "properties": {"principle": {"type": "integer", "enum": sorted(self._numbers)}},
            "required": ["principle"],
            "additionalProperties": False,
        }

    def read(self, text: str) -> Principle:
        """The principle that ``text`` chooses.

        Raises:
            UnreadableError: ``empty_response``, ``no_principle``, ``multiple_principles``,
                ``number_out_of_range``, ``amount_not_principle``, ``negated``, ``conditional``, ``question``,
                ``reported``, ``too_long`` or ``unclear``.
        """
        answer = json_answer.find(text)
        found = self.within(answer)
        return self.plain(plain(text)) if found is None else found

    def within(self, answer: json_answer.JsonAnswer) -> Principle | None:
        """The principle that the objects of an answer choose; ``None`` when none of them is about that.

        Raises:
            UnreadableError: see :meth:`read`; ``multiple_principles`` also when the text around chooses
                another one.
        """
        found = answer.one(NAMES, self.value, "multiple_principles")
        others = answer.values(OTHER_NAMES)
        if found is None and others:
            found = answer.one(OTHER_NAMES, self.value, "multiple_principles")
        elif found is not None and any(self._differs(found, value) for value in others):
            raise UnreadableError("multiple_principles")
        if found is not None:
            self._agrees(found, plain(answer.rest))
        return found

    def value(self, value: Any) -> Principle:
        """What a JSON value names.

        Raises:
            UnreadableError: see :meth:`read`.
        """
        if isinstance(value, bool) or value is None:
            raise UnreadableError("no_principle", numbers=self._allowed())
        if isinstance(value, Decimal | int):
            if 0 <= value <= _LIKE_A_PRINCIPLE and value == int(value):
                return self._numbered(int(value))
            raise UnreadableError("number_out_of_range", numbers=self._allowed())
        if isinstance(value, str):
            return self.plain(plain(value))
        if isinstance(value, Mapping):
            parts = json_answer.JsonAnswer((value,), "")
            found = parts.one(("number", "id", "principle"), self.value, "multiple_principles")
            if found is not None:
                return found
        raise UnreadableError("unclear")

    def plain(self, text: str) -> Principle:
        """The principle that a plain answer chooses (``text`` as of :func:`~.script.plain`).

        Raises:
            UnreadableError: see :meth:`read`.
        """
        text = wording.short(text)
        alone = number_word(text.strip(" .!\"'()")) or letter(text)
        if alone is not None:
            return self._numbered(alone)
        found = mentions(text)
        rest = without(text, found)
        others = list(numerals(rest, self._language))
        bare = [number for number in others if number.bare and (number.value or 0) <= _LIKE_A_PRINCIPLE]
        named = {mention.number for mention in found} | {int(number.value or 0) for number in bare}
        if len(named) > 1:
            raise UnreadableError("multiple_principles")
        if not named:
            wording.meant(rest)
            raise self._nothing(others)
        rest = blanked(rest, others)
        first = min([mention.start for mention in found] + [number.start for number in bare])
        clause = wording.without_reasons(rest)
        rest = clause if first < len(clause) else rest
        wording.meant(rest)
        principle = self._numbered(named.pop())
        if _contradicts(principle, rest):
            raise UnreadableError("unclear")
        if not wording.idle(rest) and not (
            any(wording.chosen_at(text, mention.start) for mention in found)
            or (not found and any(_right_after_choice(text, number.start) for number in bare))
        ):
            raise UnreadableError("unclear")
        return principle

    def _differs(self, principle: Principle, value: Any) -> bool:
        try:
            return self.value(value) is not principle
        except UnreadableError:
            return False

    def _agrees(self, principle: Principle, around: str) -> None:
        """Refuse text around a JSON answer that chooses another principle.

        Raises:
            UnreadableError: ``multiple_principles``.
        """
        for choice in wording.CHOICE.finditer(around):
            sentence = wording.sentence_from(around, choice.end())
            before = around[max(choice.start() - 20, 0) : choice.end()]
            found = mentions(sentence)
            if found and found[0].number != principle.number and not wording.negates(before + sentence):
                raise UnreadableError("multiple_principles")

    def _numbered(self, number: int) -> Principle:
        principle = self._numbers.get(number)
        if principle is None:
            raise UnreadableError("number_out_of_range", numbers=self._allowed())
        return principle

    def _nothing(self, numbers: Sequence[Numeral]) -> UnreadableError:
        """Why nothing is named: ``10`` is the number of no principle, ``15000`` was never meant as one."""
        code = "amount_not_principle" if numbers else "no_principle"
        if len(numbers) == 1 and numbers[0].bare and (numbers[0].value or 0) < _LIKE_AN_AMOUNT:
            code = "number_out_of_range"
        return UnreadableError(code, numbers=self._allowed())

    def _allowed(self) -> str:
        return ", ".join(map(str, sorted(self._numbers)))


def _contradicts(principle: Principle, rest: str) -> bool:
    """Whether the words besides a principle tell of a constraint that it has not."""
    floor = wording.FLOOR.search(rest) is not None
    spread = wording.RANGE.search(rest) is not None
    if principle is Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT:
        return spread and not floor
    if principle is Principle.MAXIMIZING_AVERAGE_RANGE_CONSTRAINT:
        return floor and not spread
    if principle is Principle.MAXIMIZING_AVERAGE:
        return floor or spread
    return False


def _right_after_choice(text: str, position: int) -> bool:
    before = text[:position]
    matches = list(wording.CHOICE.finditer(before))
    return bool(matches) and wording.idle(before[matches[-1].end() :])
