"""Numbers in a text, in the styles of each language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from shared.schemas.experiment.terms import Language

#: Digits of one number: longer ones are no amount of money.
_MOST_DIGITS = 30

_CURRENCY = r"(?:us\$|u\$s|\$us|usd|\$)"
_DIGITS = r"\d+(?:[.,']\d+|(?<!\d{4})[ ]\d{3}(?!\d))*"
_WESTERN_SCALES = {
    "k": Decimal(1_000),
    "thousand": Decimal(1_000),
    "mil": Decimal(1_000),
    "million": Decimal(1_000_000),
    "millón": Decimal(1_000_000),
    "millon": Decimal(1_000_000),
    "millones": Decimal(1_000_000),
}
_CHINESE_DIGITS = {sign: Decimal(n) for n, sign in enumerate("零一二三四五六七八九")} | {
    "〇": Decimal(0),
    "两": Decimal(2),
    "兩": Decimal(2),
}
_CHINESE_UNITS = {
    "十": Decimal(10),
    "百": Decimal(100),
    "千": Decimal(1_000),
    "万": Decimal(10_000),
    "萬": Decimal(10_000),
    "亿": Decimal(100_000_000),
    "億": Decimal(100_000_000),
}
_C = "".join(_CHINESE_DIGITS)
_U = "".join(_CHINESE_UNITS)

_NUMERAL = re.compile(
    rf"""
    (?P<minus>(?:(?<![\w.,)])-\s?|(?<![^\W\d_])(?:minus|negative|负)\s*))?
    (?P<share>百分之\s*)?
    (?P<currency>{_CURRENCY}\s*)?
    (?P<minus_after>-\s?)?
    (?:
        (?P<chinese>(?:{_DIGITS}\s*|[{_C}])?[{_U}](?:[{_C}{_U}]|\d+(?:\.\d+)?)*)
      | (?P<spelt>[{_C}]{{2,}})
      | (?P<digits>{_DIGITS})
        (?:\s*(?P<scale>k|thousand|mil|million|millón|millon|millones)(?![^\W\d_]))?
    )
    (?P<percent>\s*(?:%|percent\b|per\ cent\b|por\ ?ciento\b|‰))?
    """,
    re.VERBOSE,
)
_MONEY_AFTER = re.compile(r"[ ]*(?:us\$|usd\b|dollars?\b|d[óo]lar(?:es)?\b|美元|美金|元|\$)(?!\d)")
_BEFORE_LETTER = re.compile(r"[^\W_]")
_AFTER_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number in a text.

    Attributes:
        start: where it begins.
        end: where it ends, with its currency.
        value: ``None`` when it can be read in two ways, or in none.
        bare: nothing but digits: it may be the number of something.
        percent: a share, and no amount.
    """

    start: int
    end: int
    value: Decimal | None
    bare: bool
    percent: bool


def numerals(text: str, language: Language) -> Iterator[Numeral]:
    """The numbers in ``text`` (see :func:`~workers.experiment.reading.script.plain`), in order.

    English groups by commas, Spanish by points or commas, Mandarin by commas and counts in ten thousands; all
    of them may group by blanks. What one of them reads otherwise than the others is taken as that language
    writes it, and what it would not write, as no value.
    """
    for match in _NUMERAL.finditer(text):
        value = _value(match, language)
        money = _MONEY_AFTER.match(text, match.end())
        end = match.end() if money is None else money.end()
        glued_before = _letter(_BEFORE_LETTER.match(text[max(match.start() - 1, 0) : match.start()]))
        glued_after = money is None and _letter(_AFTER_LETTER.match(text, match.end()))
        if glued_before or glued_after or _ends_in_digits(text, match.end()):
            value = None
        if value is not None and (match["minus"] or match["minus_after"]):
            value = -value
        digits = match["digits"]
        bare = (
            digits is not None
            and digits.isdigit()
            and money is None
            and not any(
                match[part] for part in ("minus", "minus_after", "currency", "scale", "percent", "share")
            )
            and value is not None
        )
        yield Numeral(match.start(), end, value, bare=bare, percent=bool(match["percent"] or match["share"]))


def blanked(text: str, numbers: Iterable[Numeral]) -> str:
    """``text`` with blanks in the numbers' places."""
    for number in numbers:
        text = text[: number.start] + " " * (number.end - number.start) + text[number.end :]
    return text


def _value(match: re.Match[str], language: Language) -> Decimal | None:
    if match["chinese"] is not None:
        return _chinese(match["chinese"])
    if match["spelt"] is not None:
        return None
    scale = match["scale"]
    if scale == "mil" and language is not Language.SPANISH:
        return None  # "mil" is short for a million in English.
    number = _western(match["digits"], language, scaled=scale is not None)
    return number if number is None or scale is None else number * _WESTERN_SCALES[scale]


def _western(digits: str, language: Language, *, scaled: bool = False) -> Decimal | None:
    """``15,000``, ``15.000``, ``15 000``, ``15,000.50``; ``None`` for what the language would not write."""
    if sum(map(str.isdigit, digits)) > _MOST_DIGITS:
        return None
    separators = re.findall(r"[^\d]", digits)
    parts = re.split(r"[^\d]", digits)
    if not separators:
        return Decimal(digits)
    last = separators[-1]
    decimals = {".", ","} if language is Language.SPANISH else {"."}
    groups = {",", " ", "'"} | ({"."} if language is Language.SPANISH else set())
    as_groups = set(separators) <= groups and len(set(separators)) == 1 and _grouped(parts)
    head = separators[:-1]
    as_decimal = (
        last in decimals
        and last not in head
        and (not head or (set(head) <= groups and len(set(head)) == 1 and _grouped(parts[:-1])))
    )
    if as_groups and as_decimal:
        # Only Spanish comes here: three digits after a lone separator are a group, unless something is
        # counted in thousands or more: 1.500 mil is anybody's guess.
        return None if scaled else Decimal("".join(parts))
    if as_groups:
        return Decimal("".join(parts))
    if as_decimal and not (len(parts[-1]) == 3 and not scaled):
        return Decimal(f"{''.join(parts[:-1])}.{parts[-1]}")
    return None


def _grouped(parts: list[str]) -> bool:
    first, *others = parts
    return 1 <= len(first) <= 3 and not first.startswith("0") and all(len(part) == 3 for part in others)


def _chinese(numeral: str) -> Decimal | None:
    """``一万五千``, ``1.5万``, ``15千``, ``1万5``; ``None`` for what is no number."""
    total = section = Decimal(0)
    number: Decimal | None = None
    zero = spoken = False
    last = Decimal(0)
    smallest, largest = Decimal("Infinity"), Decimal("Infinity")
    for token in re.findall(rf"{_DIGITS}|[{_C}{_U}]", numeral):
        unit = _CHINESE_UNITS.get(token)
        if unit is None:
            if token in ("零", "〇"):
                if number is not None:
                    return None
                zero = True
                continue
            if number is not None:
                return None
            spoken = token in _CHINESE_DIGITS or len(token) == 1
            number = (
                _CHINESE_DIGITS[token]
                if token in _CHINESE_DIGITS
                else _western(token, Language.MANDARIN, scaled=True)
            )
            if number is None:
                return None
            continue
        if unit >= 10_000:
            section += number or 0
            if not section or unit >= largest:
                return None
            total += section * unit
            section, smallest, largest = Decimal(0), Decimal("Infinity"), unit
        else:
            if (number is None and not (unit == 10 and not section)) or unit >= smallest:
                return None
            section += (Decimal(1) if number is None else number) * unit
            smallest = unit
        number, zero, last = None, False, unit
    if number is not None:
        # 一万五 is said for 一万五千; with a 零 between, the last digit is what it is.
        section += number * last / 10 if spoken and not zero and last > 10 else number
    return total + section


def _ends_in_digits(text: str, end: int) -> bool:
    """A number that goes on in a way that no number does: ``1,2,``-like runs are left to the caller."""
    return bool(re.match(r"[.,']?\d", text[end : end + 2]))


def _letter(match: re.Match[str] | None) -> bool:
    return match is not None and not _is_cjk(match.group())


def _is_cjk(character: str) -> bool:
    return "\u3400" <= character <= "\u9fff"
