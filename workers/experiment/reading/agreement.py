"""Reading yes or no. A number in passing, such as a share or a round, is neither."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from workers.experiment.reading import json_answer, wording
from workers.experiment.reading.reader import UnreadableError
from workers.experiment.reading.script import plain

#: Under which names JSON answers give it.
NAMES = (
    "agree",
    "agrees",
    "answer",
    "vote",
    "confirm",
    "response",
    "acuerdo",
    "de_acuerdo",
    "acepto",
    "respuesta",
    "voto",
    "同意",
    "是否同意",
    "回答",
    "答案",
)

_YES = (
    r"yes|y|yeah|yep|true|agreed?|ok|okay|sure|sí|si|de acuerdo|estoy de acuerdo|acepto|verdadero"
    r"|是的?|同意|愿意|赞成|好的?|可以|要|对"
)
_NO = (
    r"no|n|nope|no thanks|not (?:yet|now)|todavía no|aún no|ahora no|false|disagreed?"
    r"|en desacuerdo|no estoy de acuerdo|no acepto|falso"
    r"|不同意|不愿意|不赞成|不可以|不是|不要|不行|不好|不对|不|否|没有|反对"
)
_SELF_EN = r"(?:i|we)(?: do)?"
_NOW_EN = r"(?: to (?:the )?vot(?:e|ing))?(?: now)?"
_NOW_ZH = r"(?:现在)?(?:投票|表决)?"
_YES_SAID = re.compile(
    rf"(?:{_YES}|i (?:do )?want to vote(?: now)?|let(?:'s| us) vote(?: now)?|sí,? quiero|quiero votar"
    rf"|{_SELF_EN} (?:agree|accept|confirm){_NOW_EN}"
    rf"|我(?:们)?(?:同意|愿意|赞成|想){_NOW_ZH}|(?:同意|愿意|赞成|可以|想){_NOW_ZH})"
)
_NO_SAID = re.compile(
    rf"(?:{_NO}|i (?:do not|don't) (?:agree|accept|want to vote){_NOW_EN}|i disagree|no quiero votar"
    rf"|(?:我(?:们)?)?(?:还)?不(?:同意|愿意|赞成|想){_NOW_ZH})"
)
_LABEL = re.compile(
    r"\A[{\"\s]*agree[\"\s]*[:=]\s*"
    r"|\A(?:my )?(?:final )?(?:answer|vote|response|choice)(?: is)?\s*[:=]?\s*"
    r"|\A(?:mi )?(?:respuesta|voto)(?: es)?\s*[:=]?\s*"
    r"|\A(?:我的)?(?:回答|答案|选择)(?:是|为)?\s*[:=]?\s*"
)
_PART = re.compile(r"[.,!;:()\n\"'=/]+| - ")
#: Opens an answer that goes on: "yes, because …".
_OPENING = re.compile(r"\A\s*([^.,!;:\n]+?)\s*(?:[.,!;:\n]| - | because | porque |因为)(.+)\Z", re.DOTALL)
_AGAINST_YES = re.compile(
    r"\b(?:no|not|never|disagree|refuse|decline|wait|but|however|false)\b"
    r"|\b(?:pero|nunca|espera|desacuerdo|todavía|todavia|aún)\b"
    r"|n't\b|不|没|否|但|别|反对|等等"
)
_AGAINST_NO = re.compile(
    r"\b(?:yes|yeah|true|agree|agreed|accept|confirm|but|however|sí|acepto|acuerdo|pero)\b"
    r"|同意|愿意|赞成|但"
)
_NEGATED_YES = re.compile(
    r"\b(?:don't|do not|not|cannot|can't|won't|didn't)(?: \w+)? (?:agree|accept|confirm)\w*|\bdisagree\w*"
    r"|\bno (?:estoy de acuerdo|acepto)"
    r"|(?:不|没有?|未)(?:太|能|会|想)?(?:同意|愿意|赞成)"
)


class AgreementReader:
    """Reads a yes or a no, in any of the languages.

    Read are a JSON object with ``agree`` (``true``, ``1``, ``"yes"`` and their opposites), and the plain
    answer: ``1``, ``yes``, ``sí``, ``是``, also with words that say the same (``yes, I agree``), or that
    follow as a reason and do not take it back.
    """

    name = "agreement"

    @property
    def schema(self) -> dict[str, Any] | None:
        """``{"agree": true}``."""
        return {
            "type": "object",
            "properties": {"agree": {"type": "boolean"}},
            "required": ["agree"],
            "additionalProperties": False,
        }

    def read(self, text: str) -> bool:
        """Whether ``text`` agrees.

        Raises:
            UnreadableError: ``empty_response``, ``no_agreement``, ``contradiction`` or ``too_long``.
        """
        answer = json_answer.find(text)
        found = answer.one(NAMES, _value, "contradiction")
        if found is None:
            return _plain(plain(text))
        around, _ = _opening(plain(answer.rest))
        if around is not None and around is not found:
            raise UnreadableError("contradiction")
        return found


def _value(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, Decimal) and value in (0, 1):
        return value == 1
    if isinstance(value, str):
        return _plain(plain(value))
    raise UnreadableError("no_agreement")


def _plain(text: str) -> bool:
    text = wording.short(text)
    if re.search("[?¿]", text):
        raise UnreadableError("no_agreement")
    text = _LABEL.sub("", text)
    said = {_polarity(part) for part in _PART.split(text) if part.strip()}
    if said in ({True}, {False}):
        return said == {True}
    if said == {True, False}:
        raise UnreadableError("contradiction")
    opened, rest = _opening(text)
    if opened is None:
        raise UnreadableError("no_agreement")
    against = _AGAINST_YES if opened else _AGAINST_NO
    # "No, I do not agree" does not take the "no" back.
    taken_back = against.search(rest if opened else _NEGATED_YES.sub(" ", rest))
    if taken_back is not None or wording.conditional(rest):
        raise UnreadableError("contradiction")
    return opened


def _opening(text: str) -> tuple[bool | None, str]:
    """What an answer opens with, and what follows; a number at the start of a text may count a list."""
    match = _OPENING.match(text)
    opening, rest = (text, "") if match is None else match.groups()
    if opening.strip().isdigit() and rest:
        return None, rest
    return _polarity(opening), rest


def _polarity(part: str) -> bool | None:
    word = part.strip(" .!。")
    if word in ("1", "0"):
        return word == "1"
    if _YES_SAID.fullmatch(word):
        return True
    return False if _NO_SAID.fullmatch(word) else None
