"""Reading an amount of money: whole dollars a year."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from shared.schemas.experiment.terms import Language
from workers.experiment.reading import json_answer, wording
from workers.experiment.reading.mentions import mentions, without
from workers.experiment.reading.numerals import Numeral, blanked, numerals
from workers.experiment.reading.reader import UnreadableError
from workers.experiment.reading.script import plain

#: Under which names JSON answers give it.
NAMES = (
    "amount",
    "constraint_amount",
    "constraint",
    "floor",
    "range",
    "limit",
    "answer",
    "cantidad",
    "monto",
    "importe",
    "respuesta",
    "金额",
    "数额",
    "答案",
)

#: Above it nothing is an amount of money, whatever the configuration allows.
_BEYOND = 10**15

_SPELT = re.compile(
    r"\b(?:hundred|thousand|million|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty)\b"
    r"|\b(?:cien|cientos|mil|millón|millones|diez|once|doce|quince|veinte|treinta|cuarenta|cincuenta)\b"
)
_OTHER_MONEY = re.compile(
    r"[€£¥₹₩]|\b(?:euros?|pounds?|libras?|pesos?|yuan|rmb|cny|yen|eur|gbp|rupees?)\b"
    r"|人民币|日元|欧元|英镑|卢比"
)
_NOT_EXACT = re.compile(
    r"\b(?:more|higher|greater|less|lower|fewer) than\b|\b(?:above|below|over|under|up to|or so|anything)\b"
    r"|\b(?:más|mas|menos|mayor|menor) (?:de|que|a)\b|\b(?:encima|debajo|cualquier)\b"
    r"|以上|以下|高于|低于|超过|左右|[<>~≈+]"
)
_EXACT_AFTER_ALL = re.compile(
    r"[<>]=|<\s*>|\b(?:no|not) (?:more|higher|greater|less|lower|fewer) than\b"
    r"|\bno (?:más|mas|menos|mayor|menor) (?:de|que|a)\b|\bal menos\b|不(?:得)?(?:高于|低于|超过)"
)
_SETS = re.compile(
    r"\b(?:floor|amount|minimum|maximum|range|constraint|limit|income|at least|at most)\b"
    r"|\bset (?:it )?(?:at|to)\b"
    r"|\b(?:cantidad|monto|importe|mínimo|máximo|límite|restricción|diferencia|ingreso|al menos)\b"
    r"|金额|最低|差距|限制|约束|至少|至多|设定|设为"
)


#: What follows an amount that an answer begins with.
_GOES_ON = re.compile(
    r"\s*(?:[.,;:(\n-]|$|(?:is|seems|would|should|as|looks|sounds|es|sería|me parece|parece|como)\b|[是为作])"
)


class AmountReader:
    """Reads one amount, as the language of the agent writes numbers.

    English ``15,000`` and ``15k``; Spanish ``15.000``, ``15,000`` and ``15 mil``; Mandarin ``1.5万``,
    ``15千``, ``一万五千``; digits of any script; all of them ``15 000`` and ``$15,000.00``.

    An answer with two different amounts is not read, nor one that names other money than dollars, a share,
    or something more or less than an amount.

    Args:
        language: of the agent.
        minimum: the least amount that is taken, in dollars.
        maximum: the greatest; ``None``: any.
    """

    name = "amount"

    def __init__(self, language: Language, minimum: int = 1, maximum: int | None = None) -> None:
        self._language = language
        self._minimum = minimum
        self._maximum = maximum

    @property
    def schema(self) -> dict[str, Any] | None:
        """``{"amount": 15000}``."""
        return {
            "type": "object",
            "properties": {"amount": {"type": "integer"}},
            "required": ["amount"],
            "additionalProperties": False,
        }

    def read(self, text: str) -> int:
        """The amount in ``text``, in whole dollars.

        Raises:
            UnreadableError: ``empty_response``, ``no_amount``, ``multiple_amounts``, ``ambiguous_amount``,
                ``amount_too_low``, ``amount_too_high``, ``amount_must_be_positive``,
                ``no_negative_amounts``, ``whole_numbers_only``, ``amount_is_percent``, ``wrong_currency``,
                ``use_digits_not_words``, ``negated``, ``conditional``, ``question``, ``reported``,
                ``too_long`` or ``unclear``.
        """
        answer = json_answer.find(text)
        found = answer.one(NAMES, self.value, "multiple_amounts")
        return self.plain(plain(text)) if found is None else found

    def value(self, value: Any) -> int:
        """What a JSON value says.

        Raises:
            UnreadableError: see :meth:`read`; ``ambiguous_amount`` for a number like ``15.000``.
        """
        if isinstance(value, str):
            return self.plain(plain(value))
        if isinstance(value, Decimal) or (isinstance(value, int) and not isinstance(value, bool)):
            if _like_grouped(Decimal(value)):
                raise UnreadableError("ambiguous_amount")
            return self._whole(Decimal(value))
        raise UnreadableError("no_amount")

    def plain(self, text: str) -> int:
        """The amount that a plain answer gives (``text`` as of :func:`~.script.plain`).

        Raises:
            UnreadableError: see :meth:`read`.
        """
        text = wording.short(text)
        rest = without(text, mentions(text))
        found = list(numerals(rest, self._language))
        if not found:
            raise UnreadableError("use_digits_not_words" if _SPELT.search(rest) else "no_amount")
        rest = blanked(rest, found)
        values = {number.value for number in found}
        percent = [number.percent for number in found]
        if all(percent):
            raise UnreadableError("amount_is_percent")
        if any(percent) or _SPELT.search(rest):
            raise UnreadableError("multiple_amounts")
        if None in values:
            raise UnreadableError("ambiguous_amount" if len(found) == 1 else "multiple_amounts")
        if len(values) > 1:
            raise UnreadableError("multiple_amounts")
        if _OTHER_MONEY.search(rest):
            raise UnreadableError("wrong_currency")
        if _NOT_EXACT.search(_EXACT_AFTER_ALL.sub(" ", rest)):
            raise UnreadableError("ambiguous_amount")
        clause = wording.without_reasons(rest)
        rest = clause if found[0].start < len(clause) else rest
        wording.meant(rest)
        if not wording.idle(rest) and not _is_set(rest, found[0]):
            raise UnreadableError("unclear")
        amount = values.pop()
        assert amount is not None
        return self._whole(amount)

    def _whole(self, amount: Decimal) -> int:
        if amount < 0:
            raise UnreadableError("no_negative_amounts")
        if amount == 0:
            raise UnreadableError("amount_must_be_positive")
        # Compared before it is made an int: the digits of 1e999999 would fill the memory.
        if amount > _BEYOND or (self._maximum is not None and amount > self._maximum):
            raise UnreadableError("amount_too_high", maximum_amount=self._maximum or _BEYOND)
        if amount < self._minimum:
            raise UnreadableError("amount_too_low", minimum_amount=self._minimum)
        if amount != int(amount):
            raise UnreadableError("whole_numbers_only")
        return int(amount)


def _like_grouped(amount: Decimal) -> bool:
    """Whether a number of JSON has three decimals: ``15.000`` is 15 there, and 15,000 to whoever wrote it."""
    return amount.as_tuple().exponent == -3 and 1 <= abs(amount) < 1_000


def _is_set(text: str, number: Numeral) -> bool:
    """Whether the number is set, by the words before it, or is what the answer is about."""
    before = text[: number.start]
    if wording.chosen_at(text, number.start) or _SETS.search(before[-60:]):
        return True
    return wording.idle(before) and _GOES_ON.match(text, number.end) is not None
