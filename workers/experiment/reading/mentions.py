"""Mentions of principles in a text: by number, by letter, by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from shared.schemas.experiment.terms import Principle

_NUMBER_WORDS = {
    word: number
    for number, words in enumerate(
        (
            ("one", "uno", "una", "first", "primero", "primer", "primera", "一", "①"),
            ("two", "dos", "second", "segundo", "segunda", "二", "两", "②"),
            ("three", "tres", "third", "tercero", "tercer", "tercera", "三", "③"),
            ("four", "cuatro", "fourth", "cuarto", "cuarta", "四", "④"),
            ("five", "cinco", "fifth", "quinto", "quinta", "五", "⑤"),
            ("six", "seis", "sixth", "sexto", "sexta", "六", "⑥"),
            ("seven", "siete", "seventh", "séptimo", "septimo", "séptima", "七", "⑦"),
        ),
        start=1,
    )
    for word in words
}
_LETTERS = {"a": 1, "b": 2, "c": 3, "d": 4}

_N = r"(?P<n>-?\d+)(?!\d|[.,']\d|\s*(?:%|k\b|mil\b|thousand\b|percent|per\ cent|por\ ?ciento|[十百千万亿]))"
_WORDS = "|".join(sorted(map(re.escape, _NUMBER_WORDS), key=len, reverse=True))
_LABEL = r"(?:principles?|principios?|options?|opci(?:ón|on)|原则|选项)"

#: "principle 3", "principio n.º 3", "原则三"; a letter counts only where nothing else can be meant by it:
#: after such a word, and before a sign or the end.
_LABELLED = re.compile(
    rf"""(?<![^\W\d_一-鿿]){_LABEL}["']?\s*(?:number|no\.?|nr\.?|número|numero|n\.?º|\#|id)?\s*[:=(\["']*\s*
    (?:{_N}|(?P<word>{_WORDS})(?![^\W\d_一-鿿])|(?P<letter>[a-d])(?=\s*(?:[).,;:!\]"']|$)))
    |(?<![^\W\d_一-鿿])(?P<ordinal>first|second|third|fourth|fifth|sixth|seventh
        |primer|segundo|tercer|cuarto|quinto|sexto|séptimo|primera|segunda|tercera|cuarta)
        \ (?:principle|option|principio|opci(?:ón|on))\b
    |第\s*(?P<nth>\d|[一二三四五六七])\s*(?:个|條|条|项|號|号)?\s*(?:原则|选项)?
    |(?P<counted>\d|[一二三四五六七])\s*号(?:原则|选项)?""",
    re.VERBOSE | re.MULTILINE,
)

_MAX_EN = r"(?:maximi[sz](?:e|es|ing|ation\ of)|highest)\ (?:the\ )?"
_AVG_EN = rf"{_MAX_EN}average(?:\ income)?s?"
_WITH_EN = (
    r"(?:,?\ (?:with|under|subject\ to|given))?(?:\ (?:an?|the))?\ (?:guaranteed\ |minimum\ |maximum\ )?"
)
_AVG_ES = (
    r"maximi(?:zar|zando|zación\ de|za)\ (?:(?:el|la)\ )?(?:(?:ingreso|renta)\ )?(?:promedio|medio|media)"
)
_WITH_ES = (
    r",?\ (?:con|bajo|sujeto\ a)\ (?:una\ |la\ )?(?:restricción|restriccion|limitación)\ "
    r"(?:de\ |del\ |en\ |sobre\ )?(?:la\ |el\ )?"
)
_BETWEEN_ES = r"(?:\ (?:de|entre)\ (?:los\ )?ingresos)?"
_MAX_ES = r"maximi(?:zar|zando|zación\ de|za)\ (?:(?:el|la)\ )?"

_NAMES: tuple[tuple[Principle, str], ...] = (
    (
        Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT,
        rf"""(?:{_AVG_EN}{_WITH_EN})?floor(?:\ income)?[\ -]constraint|{_AVG_EN}\ floor\ constraint
        |(?:{_AVG_ES}{_WITH_ES}|restricción\ (?:de|del)\ )(?:ingreso\ )?(?:mínimo|minimo|piso|suelo)
        |(?:在)?(?:有)?最低收入(?:约束|限制|保障)(?:条件)?(?:之?下)?,?(?:使|的|将)?(?:平均收入最大化|最大化平均收入)
        |(?:平均收入最大化|最大化平均收入)[,(]*(?:并|且|带|附|有|设)*最低收入(?:约束|限制)""",
    ),
    (
        Principle.MAXIMIZING_AVERAGE_RANGE_CONSTRAINT,
        rf"""(?:{_AVG_EN}{_WITH_EN})?range[\ -]constraint|{_AVG_EN}\ range\ constraint
        |(?:{_AVG_ES}{_WITH_ES}|restricción\ (?:de|del|en)\ (?:la\ |el\ )?)
            (?:diferencia|rango|brecha){_BETWEEN_ES}
        |(?:在)?(?:有)?收入差距(?:约束|限制)(?:条件)?(?:之?下)?,?(?:使|的|将)?(?:平均收入最大化|最大化平均收入)
        |(?:平均收入最大化|最大化平均收入)[,(]*(?:并|且|带|附|有|设)*收入差距(?:约束|限制)""",
    ),
    (
        Principle.MAXIMIZING_AVERAGE_CEILING_CONSTRAINT,
        rf"""(?:{_AVG_EN}{_WITH_EN})?ceiling(?:\ income)?[\ -]constraint|{_AVG_EN}\ ceiling\ constraint
        |(?:{_AVG_ES}{_WITH_ES}|restricción\ (?:de|del)\ )(?:ingreso\ )?(?:máximo|maximo|techo)
        |(?:在)?(?:有)?最高收入(?:约束|限制)(?:条件)?(?:之?下)?,?(?:使|的|将)?(?:平均收入最大化|最大化平均收入)
        |(?:平均收入最大化|最大化平均收入)[,(]*(?:并|且|带|附|有|设)*最高收入(?:约束|限制)""",
    ),
    (
        Principle.MAXIMIZING_FLOOR,
        rf"""{_MAX_EN}(?:floor|minimum|lowest)(?:\ income)?
        |{_MAX_ES}(?:ingreso\ )?(?:mínimo|minimo|piso|suelo)
        |最低收入最大化|最大化最低收入""",
    ),
    (
        Principle.MINIMIZING_RANGE,
        rf"""minimi[sz](?:e|es|ing|ation\ of)\ (?:the\ )?range(?:\ of\ incomes?)?
        |minimi(?:zar|zando)\ (?:la\ |el\ )?(?:diferencia|rango|brecha){_BETWEEN_ES}
        |收入差距最小化|最小化收入差距""",
    ),
    (
        Principle.MAXIMIZING_MEDIAN,
        rf"""{_MAX_EN}(?:median(?:\ income)?|middle\ class(?:'s)?(?:\ income)?)
        |{_MAX_ES}ingreso\ (?:de\ la\ clase\ media|mediano)
        |中间阶层收入最大化|最大化中间阶层收入|中位收入最大化""",
    ),
    (Principle.MAXIMIZING_AVERAGE, rf"{_AVG_EN}|{_AVG_ES}|平均收入最大化|最大化平均收入"),
)
_NAMED = tuple((principle, re.compile(pattern, re.VERBOSE)) for principle, pattern in _NAMES)


@dataclass(frozen=True, slots=True)
class Mention:
    """A principle in a text, by its number; ``named``: by its name."""

    start: int
    end: int
    number: int
    named: bool


def mentions(text: str) -> list[Mention]:
    """All mentions in ``text`` (see :func:`~workers.experiment.reading.script.plain`), in order."""
    return sorted((*_by_name(text), *_by_number(text)), key=lambda mention: mention.start)


def without(text: str, found: list[Mention]) -> str:
    """``text`` with blanks for the mentions."""
    for mention in found:
        text = text[: mention.start] + " " * (mention.end - mention.start) + text[mention.end :]
    return text


def number_word(word: str) -> int | None:
    """1 to 7 for a number in words."""
    return _NUMBER_WORDS.get(word)


def letter(text: str) -> int | None:
    """1 to 4 for an answer that is a letter and nothing else: ``c``, ``(c)``, ``c.``."""
    match = re.fullmatch(r"[(\"'\[]?\s*([a-d])\s*[)\].\"']?\.?", text.strip())
    return None if match is None else _LETTERS[match.group(1)]


def _by_name(text: str) -> Iterator[Mention]:
    for principle, pattern in _NAMED:
        for match in pattern.finditer(text):
            yield Mention(match.start(), match.end(), principle.number, named=True)
            text = text[: match.start()] + " " * len(match.group()) + text[match.end() :]


def _by_number(text: str) -> Iterator[Mention]:
    for match in _LABELLED.finditer(text):
        digits = match["n"] or match["nth"] or match["counted"]
        word = match["word"] or match["ordinal"]
        if digits is not None:
            number = int(digits[:6]) if digits.lstrip("-").isdigit() else _NUMBER_WORDS[digits]
        elif word is not None:
            number = _NUMBER_WORDS[word]
        else:
            number = _LETTERS[match["letter"]]
        yield Mention(match.start(), match.end(), number, named=False)
