"""Reading a ranking: a strict order of all four principles, and how sure the agent is of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Certainty, Principle
from workers.experiment.reading import certainty, json_answer, wording
from workers.experiment.reading.mentions import mentions, number_word
from workers.experiment.reading.principle import PrincipleReader
from workers.experiment.reading.reader import UnreadableError
from workers.experiment.reading.script import plain
from workers.experiment.records import Ranking

#: Under which names JSON answers give it.
NAMES = (
    "ranking",
    "rankings",
    "order",
    "ranks",
    "answer",
    "clasificación",
    "orden",
    "排序",
    "排名",
    "顺序",
    "答案",
)
_RANK_NAMES = ("rank", "position", "place", "posición", "puesto", "rango", "名次", "排名")
_ITEM_NAMES = ("principle", "principio", "原则", "id", "name", "number")

_FORM = re.compile(r"[,>;\n→]| - (?=\S)")
_COUNTED = re.compile(r"\A(?:(\d)\s*[.):]|([^\W\d_]+)\s*:)\s*(?=\S)")
_NUMBERS = re.compile(r"\d(?:(?:\s*[,>;→-]\s*|\s+)\d)+")
_LABEL = re.compile(
    r"\A(?:my |mi |我的)?(?:final )?"
    r"(?:ranking|order|answer|orden|clasificación|respuesta|排序|排名|顺序|答案)?(?: is| es|[是为])?\s*:?\s*"
)


class RankingReader:
    """Reads all four principles in order, best first.

    Read are a JSON object with ``ranking`` (a list of numbers, ids or names; a list of objects with
    ``principle`` and ``rank``; ranks by id), and the plain forms ``3, 1, 2, 4``, ``3 > 1 > 2 > 4`` and a list
    of four lines. A certainty that is missing or unclear is ``None``.
    """

    name = "ranking"

    def __init__(self) -> None:
        self._principle = PrincipleReader(FOUR_PRINCIPLES)

    @property
    def schema(self) -> dict[str, Any] | None:
        """``{"ranking": [3, 1, 2, 4], "certainty": "sure"}``."""
        numbers = [principle.number for principle in FOUR_PRINCIPLES]
        return {
            "type": "object",
            "properties": {
                "ranking": {
                    "type": "array",
                    "items": {"type": "integer", "enum": numbers},
                    "minItems": len(numbers),
                    "maxItems": len(numbers),
                },
                "certainty": {"type": "string", "enum": [level.value for level in Certainty]},
            },
            "required": ["ranking", "certainty"],
            "additionalProperties": False,
        }

    def read(self, text: str) -> Ranking:
        """The ranking in ``text``.

        Raises:
            UnreadableError: ``empty_response``, ``ranking_duplicate`` (``principles``: which),
                ``ranking_missing`` (likewise), ``ranking_unclear``, ``multiple_rankings``,
                ``number_out_of_range``, or what :meth:`PrincipleReader.read` raises for an entry.
        """
        answer = json_answer.find(text)
        order = answer.one(NAMES, self._value, "multiple_rankings")
        if order is not None:
            sure = [certainty.certainty_value(value) for value in answer.values(certainty.NAMES)]
            return Ranking(order, certainty.merge(sure))
        rest, said = certainty.split(plain(text))
        if not rest.strip():
            raise UnreadableError("empty_response")
        return Ranking(self._plain(rest), said)

    def _value(self, value: Any) -> tuple[Principle, ...]:
        if isinstance(value, str):
            return self._plain(plain(value))
        if isinstance(value, Mapping):
            return self._by_rank(list(value.items()))
        if not isinstance(value, list):
            raise UnreadableError("ranking_unclear")
        if value and all(isinstance(entry, Mapping) for entry in value):
            return self._by_rank([_entry(entry) for entry in value])
        return _strict([self._principle.value(entry) for entry in value])

    def _by_rank(self, entries: Sequence[tuple[Any, Any]]) -> tuple[Principle, ...]:
        """Entries that name a principle and its rank, either of them first: only what is certain is read."""
        ranked: list[tuple[int, Principle]] = []
        for left, right in entries:
            named = [side for side in (left, right) if isinstance(side, str) and mentions(plain(side))]
            if len(named) == 1:
                rank = _rank(right if named[0] is left else left)
                ranked.append((rank, self._principle.value(named[0])))
            else:
                raise UnreadableError("ranking_unclear")
        if sorted(rank for rank, _ in ranked) != list(range(1, len(ranked) + 1)):
            raise UnreadableError("ranking_unclear")
        return _strict([principle for _, principle in sorted(ranked)])

    def _plain(self, text: str) -> tuple[Principle, ...]:
        lines = [line.strip() for line in wording.short(text).splitlines()]
        orders = [_NUMBERS.fullmatch(_LABEL.sub("", line).strip(" .\"'[]()")) for line in lines]
        whole = [
            match.group()
            for match in orders
            if match is not None and len(re.findall(r"\d", match.group())) == 4
        ]
        if len(whole) == 1:
            # Numbers on a line of their own are the order, whatever is said about it on others.
            return _strict([self._principle.value(int(digit)) for digit in re.findall(r"\d", whole[0])])
        text = "\n".join(line for line in lines if line and not line.endswith(":")).strip(" .\"'[]()")
        text = _LABEL.sub("", text).strip(" .\"'[]()")
        if _NUMBERS.fullmatch(text):
            return _strict([self._principle.value(int(digit)) for digit in re.findall(r"\d", text)])
        parts = [part.strip() for part in _FORM.split(text) if part.strip()]
        counted = [_COUNTED.match(part) for part in parts]
        if parts and all(counted):
            if [_place(match) for match in counted if match] != list(range(1, len(parts) + 1)):
                raise UnreadableError("ranking_unclear")
            parts = [_COUNTED.sub("", part) for part in parts]
        if len(parts) < 2:
            raise UnreadableError("ranking_unclear")
        return _strict([self._principle.plain(part) for part in parts])


def _place(match: re.Match[str]) -> int | None:
    return int(match.group(1)) if match.group(1) else number_word(match.group(2).removeprefix("第"))


def _entry(entry: Mapping[str, Any]) -> tuple[Any, Any]:
    """The principle and the rank of ``{"principle": 3, "rank": 1}``; a principle's number is made a name."""
    answer = json_answer.JsonAnswer((entry,), "")
    item, rank = answer.values(_ITEM_NAMES), answer.values(_RANK_NAMES)
    if len(item) != 1 or len(rank) != 1:
        raise UnreadableError("ranking_unclear")
    named = item[0] if isinstance(item[0], str) and not item[0].strip().isdigit() else f"principle {item[0]}"
    return named, rank[0]


def _rank(value: Any) -> int:
    if isinstance(value, str) and value.strip().isdigit():
        value = Decimal(value.strip()[:3])
    if isinstance(value, Decimal) and value in (1, 2, 3, 4):
        return int(value)
    raise UnreadableError("ranking_unclear")


def _strict(order: Sequence[Principle]) -> tuple[Principle, ...]:
    twice = sorted({principle.number for principle in order if order.count(principle) > 1})
    if twice:
        raise UnreadableError("ranking_duplicate", principles=", ".join(map(str, twice)))
    missing = [principle.number for principle in FOUR_PRINCIPLES if principle not in order]
    if missing:
        raise UnreadableError("ranking_missing", principles=", ".join(map(str, missing)))
    return tuple(order)
