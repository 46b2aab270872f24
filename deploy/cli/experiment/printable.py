"""Text of models on a terminal: what would move the cursor or turn the writing around is taken out."""

from __future__ import annotations

import sys
import unicodedata

#: Marks that change the direction in which text is written.
_DIRECTIONS = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    """``text`` with its line ends and tabs, and without any other control character."""
    return "".join(
        character
        for character in text
        if character in "\n\t" or (unicodedata.category(character) != "Cc" and character not in _DIRECTIONS)
    )


def one_line(text: str, length: int) -> str:
    """``text`` as one line of at most so many characters."""
    joined = " ".join(printable(text).split())
    return joined if len(joined) <= length else joined[: length - 1].rstrip() + "…"


def write_out(content: bytes) -> None:
    """Write to standard output: to a terminal as what it can show, to anything else byte for byte."""
    if sys.stdout.isatty():
        sys.stdout.write(printable(content.decode("utf-8", "replace")).rstrip("\n") + "\n")
        sys.stdout.flush()
        return
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
