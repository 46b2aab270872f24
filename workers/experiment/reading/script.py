"""Writing: answers come in many scripts and decorations; readers see one."""

from __future__ import annotations

import re
import unicodedata

#: The tags between which models think before they answer. An answer is never read out of a thought.
_THOUGHT_TAG = re.compile(r"[<◁](/?)(?:think|thinking|thought|reasoning|reflection)[>▷]", re.IGNORECASE)

_FENCE = re.compile(r"^[ \t]*```[\w-]*[ \t]*$", re.MULTILINE)
_BULLET = re.compile(r"^[ \t]*[-*•–][ \t]+", re.MULTILINE)
_DECORATION = str.maketrans("", "", "*`#_")

#: Signs of other scripts for those that numbers and sentences are read by.
_SIGNS = {
    "٫": ".",
    "٬": ",",
    "،": ",",
    "。": ".",
    "、": ",",
    "−": "-",
    "﹣": "-",
    "–": "-",
    "—": " - ",
    "“": '"',
    "”": '"',
    "„": '"',
    "«": '"',
    "»": '"',
    "「": '"',
    "」": '"',
    "‘": "'",
    "’": "'",
    "\u00a0": " ",
    "\u2007": " ",
    "\u2009": " ",
    "\u202f": " ",
    "\u3000": " ",
}


def without_thoughts(text: str) -> str:
    """``text`` without what the model thought.

    What follows an opening tag that is never closed is thought, and so is all before a closing tag that was
    never opened.
    """
    said: list[str] = []
    position, thinking = 0, False
    for tag in _THOUGHT_TAG.finditer(text):
        if tag.group(1):
            if not thinking:
                said.clear()
            position, thinking = tag.end(), False
        elif not thinking:
            said.append(text[position : tag.start()])
            thinking = True
    if not thinking:
        said.append(text[position:])
    return "\n".join(said)


def uniform(text: str) -> str:
    """``text`` with the digits 0 to 9 of whatever script, half-width signs, and nothing that is not seen."""
    return "".join(map(_sign, text))


def plain(text: str) -> str:
    """What an answer says in lower case: no thoughts, no markdown, one kind of digits, signs and blanks."""
    text = uniform(without_thoughts(text))
    text = _BULLET.sub("", _FENCE.sub("", text))
    text = text.replace("_", " ").translate(_DECORATION)
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line).casefold()


def _sign(character: str) -> str:
    if character in _SIGNS:
        return _SIGNS[character]
    code = ord(character)
    if code < 128:
        return character
    if 0xFF01 <= code <= 0xFF5E:
        return chr(code - 0xFEE0)
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    return "" if unicodedata.category(character) == "Cf" else character
