"""Placeholders of character cards: ``{{char}}``, ``{{user}}`` and their kin.

A card's placeholders are filled in once, at the import. What would be drawn anew for each prompt
(``{{random:…}}``, ``{{pick:…}}``) takes its first choice; what is unknown stays as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

#: What a card's user is called: a caller has no display name.
USER = "User"

_MACRO = re.compile(r"\{\{([^{}]{1,10000})\}\}|<(bot|char|user)>", re.IGNORECASE)
_DRAWN = re.compile(r"(?:random|pick)(?:::|:)(.*)", re.IGNORECASE | re.DOTALL)
_SILENT = re.compile(r"(?://|hidden_key\s*:|comment\s*:).*", re.IGNORECASE | re.DOTALL)
_COMMA = re.compile(r"(?<!\\),|::")


@dataclass(slots=True)
class Placeholders:
    """Fills in one card's placeholders, and remembers those that it could not keep as they were."""

    char: str
    drawn: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def fill(self, text: str, *, original: str = "") -> str:
        """``text`` with its placeholders filled in; ``original`` is what ``{{original}}`` stands for."""

        def value(match: re.Match[str]) -> str:
            name = (match[1] or match[2]).strip()
            known = {"char": self.char, "bot": self.char, "user": USER, "original": original}.get(
                name.lower()
            )
            if known is not None:
                return known
            if _SILENT.fullmatch(name):
                return ""
            if drawn := _DRAWN.fullmatch(name):
                self.drawn.add(name.partition(":")[0].lower())
                return _COMMA.split(drawn[1])[0].replace("\\,", ",")
            self.unknown.add(name.partition(":")[0][:40])
            return match[0]

        return _MACRO.sub(value, text).replace("\r\n", "\n").replace("\r", "\n")

    def notes(self) -> list[str]:
        """What the reader of an import should know of the placeholders."""
        notes = []
        if self.drawn:
            names = ", ".join(sorted(self.drawn))
            notes.append(f"of each {{{{{names}}}}} the first choice was taken: nothing is drawn anew")
        if self.unknown:
            names = ", ".join(sorted(self.unknown)[:10])
            notes.append(f"these placeholders are not known and stay as text: {names}")
        return notes
