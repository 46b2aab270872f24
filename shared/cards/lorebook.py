"""A card's lorebook as simple modules, one for each entry."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from shared.cards.card import CardData, Lorebook, LoreEntry
from shared.cards.decorators import Decorators, split_decorators
from shared.cards.literal import literal
from shared.cards.placeholders import Placeholders
from shared.cards.trigger import UnusableKeysError, keyword_pattern, regex_pattern
from shared.schemas.persona_file import unique_name

_MAPPED = frozenset({"keys", "content", "enabled", "insertion_order", "constant"})
_BEFORE = frozenset({"before_char", "before_desc"})


@dataclass(slots=True)
class Lore:
    """Modules of a lorebook, the names that stand before and after the description, and what was left.

    Attributes:
        modules: fields of :class:`shared.schemas.module.ModuleCreate`.
        kept: what has no equal here: the book's own fields, fields of entries by their module's name, and the
            entries that became no module.
        notes: for who imports the card.
    """

    modules: list[dict[str, Any]] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    kept: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def lore_modules(card: CardData, written: dict[str, Any], fill: Placeholders, *, decorated: bool) -> Lore:
    """The modules of a card's lorebook, in the order in which they stand in the prompt.

    Args:
        card: the card.
        written: its fields as they were written.
        fill: fills in placeholders.
        decorated: whether entries may begin with decorators (V3).
    """
    lore = Lore()
    book = card.character_book
    if book is None:
        return lore
    raw: dict[str, Any] = written["character_book"]
    lore.kept = {name: value for name, value in raw.items() if name != "entries" and value not in (None, {})}
    of_modules: dict[str, Any] = {}
    left: list[Any] = []
    taken: set[str] = set()
    order = sorted(range(len(book.entries)), key=lambda index: book.entries[index].insertion_order)
    for index in order:
        entry = book.entries[index]
        as_written = raw["entries"][index]
        decorators, content = split_decorators(entry.content) if decorated else (Decorators(), entry.content)
        shown = _shown(entry, index)
        try:
            trigger = _trigger(entry, decorators, fill)
            text = fill.fill(content).rstrip()
            if not text.strip():
                raise UnusableKeysError("is empty")
        except UnusableKeysError as error:
            left.append(as_written)
            lore.notes.append(f"the lorebook entry {shown} became no module: it {error}")
            continue
        label = entry.name or entry.comment or (entry.keys[0] if entry.keys else "")
        name = unique_name(f"{slug(card.name, 'character')[:24]}_{slug(label, f'entry_{index + 1}')}", taken)
        taken.add(name)
        place = decorators.position or entry.position
        (lore.before if place in _BEFORE else lore.after).append(name)
        lore.modules.append(_module(name, f"Lorebook entry {shown}", text, trigger))
        rest = {
            key: value for key, value in as_written.items() if key not in _MAPPED and value not in (None, {})
        }
        if decorators.ignored:
            rest["decorators"] = decorators.ignored
        if rest:
            of_modules[name] = rest
    if of_modules:
        lore.kept["entries"] = of_modules
    if left:
        lore.kept["unused_entries"] = left
    lore.notes += _book_notes(book, of_modules)
    return lore


def _module(name: str, description: str, text: str, trigger: str | None) -> dict[str, Any]:
    return {
        "name": name,
        "description": description,
        "type": "simple",
        # The references stand on one line without spaces, so that entries that do not trigger leave no gaps.
        "content": literal(text) + "\n",
        "execution_context": "IMMEDIATE",
        "trigger_pattern": trigger,
    }


def _trigger(entry: LoreEntry, decorators: Decorators, fill: Placeholders) -> str | None:
    if not entry.enabled or (decorators.never and not decorators.always):
        raise UnusableKeysError("is switched off")
    if decorators.always or (entry.constant and not entry.use_regex):
        return None
    if entry.use_regex:
        return regex_pattern(entry.keys)
    also = [*decorators.also, *([entry.secondary_keys] if entry.selective else [])]
    return keyword_pattern(
        _filled(entry.keys, fill),
        [_filled(group, fill) for group in also],
        _filled(decorators.exclude, fill),
        case_sensitive=entry.case_sensitive,
    )


def _filled(keys: list[str], fill: Placeholders) -> list[str]:
    return [fill.fill(key) for key in keys]


def _shown(entry: LoreEntry, index: int) -> str:
    label = " ".join((entry.name or entry.comment or (entry.keys[0] if entry.keys else "")).split())
    return f"{index + 1} ({label[:80]})" if label else str(index + 1)


def _book_notes(book: Lorebook, kept: dict[str, Any]) -> list[str]:
    notes = []
    if book.entries and ((book.scan_depth or 1) > 1 or book.recursive_scanning):
        notes.append(
            "keys of the lorebook are looked for in the newest message only: scan_depth and "
            "recursive_scanning are kept, and not followed"
        )
    if any("decorators" in rest for rest in kept.values()):
        notes.append("some decorators of lorebook entries are kept, and not followed")
    return notes


def slug(text: str, default: str) -> str:
    """``text`` as the name of a module may be written; ``default`` when nothing is left of it."""
    ascii_only = unicodedata.normalize("NFKD", text[:200]).encode("ascii", "ignore").decode().lower()
    made = re.sub(r"[^a-z0-9]+", "_", ascii_only).strip("_")[:50].strip("_")
    if not made:
        return default
    return made if made[0].isalpha() else f"n{made}"[:50]
