"""Sentences, and what is left of a text when it must be shorter: whole ones, in at most so many characters.

The one special case is a sentence that is by itself longer than the limit: it is cut between two words and
ends with :data:`CUT`; a word that is longer than the limit is cut within.
"""

from __future__ import annotations

import re
import unicodedata

#: What a sentence ends with that had to be cut.
CUT = "…"
#: What follows a text of which sentences were left out at the end.
OMITTED = "[…]"

# What may end a sentence, with the quotes and brackets that close after it; and line ends, which always do.
_END = re.compile(r"""[.!?…。！？｡]+["'”’»）)\]」』】*_]*|\n+""")
_CJK_END = "。！？｡"
_BLANK = re.compile(r"\s*")
# A full stop after one of these is no end, nor after an initial or the number of a list's item.
# fmt: off
_ABBREVIATIONS = frozenset({
    "e.g", "i.e", "approx", "cf", "vs", "mr", "mrs", "ms", "dr", "prof",
    "ej", "p.ej", "aprox", "dra", "sr", "sra", "srta", "núm", "pág", "ee", "uu", "ee.uu",
})
# fmt: on
_WORD_BEGINS = re.compile(r"""[\s("'“«¿¡]""")
_ITEM_NUMBER = re.compile(r"\s*(?:[-*•]\s*)?\d{1,3}")
_TRAILING_MARK = re.compile(r"(?:\s*\[…\])+\s*$")
_REPEATED_MARK = re.compile(r"\[…\](?:\s*\[…\])+")
_LINE_ENDS = re.compile("\r\n?|[\u2028\u2029\u0085\x0b\x0c]")
_BLANK_LINES = re.compile(r"\n{3,}")
# Control characters but for tab and line feed, lone surrogates, marks that change how the text around them is
# shown, and the byte order mark.
_UNSEEN = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufeff]")
_JOINER = "\u200d"


def clean(text: str) -> str:
    """``text`` without control characters and lone surrogates, and with at most one blank line in a row."""
    seen = _UNSEEN.sub("", _LINE_ENDS.sub("\n", text))
    return _REPEATED_MARK.sub(OMITTED, _BLANK_LINES.sub("\n\n", seen)).strip()


def sentences(text: str) -> list[str]:
    """The sentences of ``text`` with the blanks that follow them: put together they are the text.

    A line's end ends a sentence; Chinese full stops need no blank behind them, others do. Whether a place is
    an end depends on nothing before the sentence, so that what is left of a text has the same sentences.
    """
    found: list[str] = []
    start = 0
    for match in _END.finditer(text):
        if match.start() < start:
            continue
        if not _ends(text, start, match):
            continue
        blank = _BLANK.match(text, match.end())
        end = match.end() if blank is None else blank.end()
        found.append(text[start:end])
        start = end
    if start < len(text):
        found.append(text[start:])
    return found


def beginning(text: str, limit: int) -> str:
    """The first sentences of ``text`` in at most ``limit`` characters; :data:`OMITTED` when more followed.

    The mark is set once, however often a text is shortened, and left out where there is no room for it.
    """
    text = text.strip()
    if len(text) <= limit:
        return text
    text = _TRAILING_MARK.sub("", text)
    room = limit - len(OMITTED) - 1
    end = length = 0
    for sentence in sentences(text):
        length += len(sentence)
        if length - len(sentence) + len(sentence.rstrip()) > room:
            break
        end = length
    if end:
        return f"{text[:end].rstrip()} {OMITTED}"
    first = next(iter(sentences(text)), "").strip()
    return first if len(first) <= limit else cut(first, limit)


def ending(text: str, limit: int, *, whole: bool = False) -> str:
    """The last sentences of ``text`` in at most ``limit`` characters; the oldest go first.

    With ``whole`` nothing is left, instead of a cut sentence, when the last one alone is too long.
    """
    text = text.strip()
    if len(text) <= limit:
        return text
    every = sentences(text)
    start = len(text)
    for sentence in reversed(every):
        if len(text) - (start - len(sentence)) > limit:
            break
        start -= len(sentence)
    return text[start:] or ("" if whole else cut(every[-1], limit))


def cut(sentence: str, limit: int) -> str:
    """A sentence that is longer than ``limit``: as many whole words as fit, and :data:`CUT`."""
    if len(sentence) <= limit:
        return sentence
    room = limit - len(CUT)
    if room < 1:
        return sentence[: max(limit, 0)] if not sentence[:1].isspace() else ""
    end = room
    if not sentence[room].isspace() and not _between_characters(sentence, room):
        blank = max(sentence.rfind(space, 0, room) for space in " \t\n\u3000")
        end = blank if blank > 0 else _whole_character(sentence, room)
    return sentence[:end].rstrip() + CUT


def _ends(text: str, start: int, match: re.Match[str]) -> bool:
    mark = match.group()
    if mark[0] == "\n" or any(character in _CJK_END for character in mark):
        return True
    follows = text[match.end() : match.end() + 1]
    if follows and not follows.isspace():
        return False
    return mark != "." or not _abbreviates(text[start : match.start()])


def _abbreviates(sentence: str) -> bool:
    """Whether a full stop after ``sentence`` is one of an abbreviation."""
    if len(sentence) < 8 and _ITEM_NUMBER.fullmatch(sentence):
        return True
    word = _WORD_BEGINS.split(sentence[-12:])[-1]
    return word.lower() in _ABBREVIATIONS or (len(word) == 1 and word.isalpha() and not _is_wide(word))


def _between_characters(text: str, place: int) -> bool:
    """Whether ``place`` is beside a character that is a word of its own, as in Chinese."""
    return _is_wide(text[place - 1]) or _is_wide(text[place])


def _is_wide(character: str) -> bool:
    return "\u3000" <= character <= "\u9fff" or "\uf900" <= character <= "\uffef"


def _whole_character(text: str, place: int) -> int:
    """The last place up to ``place`` that does not part a letter from its accents, or an emoji's parts."""
    end = place
    while end > 1 and (_continues(text[end]) or text[end - 1] == _JOINER):
        end -= 1
    return end


def _continues(character: str) -> bool:
    return unicodedata.combining(character) > 0 or character in (_JOINER, "\ufe0f")
