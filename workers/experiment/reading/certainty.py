"""How sure an agent says that it is. Where it does not say, nothing is assumed."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from shared.schemas.experiment.terms import Certainty
from workers.experiment.reading.script import plain

#: Under which names JSON answers give it.
NAMES = ("certainty", "confidence", "certeza", "seguridad", "确定程度", "确定性", "把握")

_WORDS = {
    Certainty.VERY_UNSURE: r"very (?:unsure|uncertain)|not (?:at all )?sure at all"
    r"|muy insegur[oa]|nada segur[oa]"
    r"|(?:非常|很|十分)不(?:确定|肯定)",
    Certainty.UNSURE: r"unsure|uncertain|not sure|insegur[oa]|no (?:estoy )?segur[oa]|不(?:太)?(?:确定|肯定)",
    Certainty.NO_OPINION: r"no opinion|neutral|(?:sin|ninguna) opini[óo]n"
    r"|(?:没有|无)(?:意见|看法)|中立",
    Certainty.VERY_SURE: r"(?:very|completely|absolutely|totally) (?:sure|certain|confident)"
    r"|(?:muy|completamente|totalmente) segur[oa]|(?:非常|很|十分|完全)(?:确定|肯定)",
    Certainty.SURE: r"sure|certain|confident|segur[oa]|确定|肯定",
}
_PATTERNS = tuple((certainty, re.compile(pattern)) for certainty, pattern in _WORDS.items())
#: Any of them, for a pattern in which blanks count only when they are escaped.
_ANY = "|".join(f"(?:{pattern})" for pattern in _WORDS.values()).replace(" ", r"\ ")
_SAID = re.compile(
    rf"""(?:\b(?:and\ )?(?:my\ )?(?:level\ of\ )?(?:certainty|confidence)(?:\ level)?
        |\b(?:y\ )?(?:mi\ )?(?:nivel\ de\ )?(?:certeza|seguridad)
        |(?:我的)?(?:确定程度|确定性|把握))["']?\s*(?:is|es|[是为:=,])?\s*["'(]?
        (?P<labelled>{_ANY}|[1-5](?![\d.%]))["')]?
    |(?:\b(?:and\ )?i(?:\ am|'m)|\b(?:y\ )?estoy|我)\ ?(?P<said>{_ANY})(?![^\W\d_])(?!\ of\b)
    |(?:(?<=[,;(\n])|(?<=\ -\ ))\s*(?P<added>{_ANY})\s*(?=[.!)\n]|\Z)""",
    re.VERBOSE,
)


def certainty_value(value: Any) -> Certainty | None:
    """What a JSON value says: 1 to 5, an id, or the words of any of the languages; else ``None``."""
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return list(Certainty)[int(value) - 1] if value in (1, 2, 3, 4, 5) else None
    if not isinstance(value, str):
        return None
    word = plain(value).replace("-", " ").strip(" .\"'")
    if word.isdigit():
        return certainty_value(int(word[:3]))
    return next((certainty for certainty, pattern in _PATTERNS if pattern.fullmatch(word)), None)


def split(text: str) -> tuple[str, Certainty | None]:
    """``text`` (see :func:`~workers.experiment.reading.script.plain`) without what it says about certainty.

    It counts where it is named (``certainty: 4``), said of oneself (``I am very sure``), or added at the end
    (``principle 3, very sure``). Said in two ways it is ``None``.
    """
    found = {
        certainty_value(match["labelled"] or match["said"] or match["added"])
        for match in _SAID.finditer(text)
    }
    return _SAID.sub(" ", text), found.pop() if len(found) == 1 else None


def merge(found: list[Certainty | None]) -> Certainty | None:
    """The one that all say; ``None`` when none does, or they disagree."""
    said = set(found)
    return said.pop() if len(said) == 1 else None
