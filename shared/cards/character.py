"""A character card as a persona: its texts become the template, its lorebook becomes modules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pydantic

from shared.cards.card import Card, CardData, CardError
from shared.cards.literal import literal
from shared.cards.lorebook import Lore, lore_modules
from shared.cards.placeholders import USER, Placeholders
from shared.schemas.connection import field_path
from shared.schemas.persona_file import PersonaFile, PersonaImage

_MAX_NAME = 255
_MAX_DESCRIPTION = 10_000
#: Longest text of an asset that is kept: embedded pictures and sounds are longer.
_MAX_ASSET_URI = 2_000
#: What the persona has of a card; every other field is kept in ``extra_data``.
_MAPPED = frozenset(
    {
        "name",
        "description",
        "personality",
        "scenario",
        "first_mes",
        "mes_example",
        "system_prompt",
        "post_history_instructions",
        "character_book",
    }
)
_START = re.compile(r"<START>", re.IGNORECASE)
_DEFAULT_INSTRUCTION = "You are {{char}}. Stay in character, and answer {{user}} as {{char}} would."


@dataclass(frozen=True, slots=True)
class CardPersona:
    """What a card becomes, and what who imports it should know."""

    file: PersonaFile
    notes: list[str]


def card_persona(card: Card, picture: bytes | None = None) -> CardPersona:
    """The persona that ``card`` describes, with ``picture`` (PNG) as its image.

    Raises:
        CardError: its texts are longer than a persona's may be.
    """
    data = card.data
    name = " ".join(data.name.split())
    fill = Placeholders(" ".join(data.nickname.split()) or name)
    lore = lore_modules(data, card.written, fill, decorated=card.spec == "v3")
    notes: list[str] = []
    if card.newer:
        notes.append(
            f"the card follows a newer version of its specification ({card.spec_version[:20]}): what is new "
            "in it is kept, and not used"
        )
    value = {
        "persona": {
            "name": name[:_MAX_NAME].strip(),
            "description": data.creator_notes.strip()[:_MAX_DESCRIPTION] or None,
            "template": _template(data, lore, fill),
            "first_message": fill.fill(data.first_mes).strip() or None,
            "extra_data": {"character_card": _kept(card, lore, notes)},
        },
        "modules": lore.modules,
        "image": PersonaImage.of("image/png", picture).model_dump() if picture else None,
    }
    try:
        file = PersonaFile.model_validate(value)
    except pydantic.ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)[:50]
        raise CardError(
            *((field_path(tuple(fault["loc"])) or "card", str(fault["msg"])) for fault in faults)
        ) from error
    if data.alternate_greetings:
        notes.append(
            f"the card's other greetings ({len(data.alternate_greetings)}) are kept in "
            "extra_data.character_card.alternate_greetings"
        )
    return CardPersona(file, [*notes, *fill.notes(), *lore.notes])


def _template(data: CardData, lore: Lore, fill: Placeholders) -> str:
    """Instruction, description with the lorebook around it, personality, scenario, examples, last word."""
    default = fill.fill(_DEFAULT_INSTRUCTION)

    def text(written: str, original: str = "") -> str:
        return literal(fill.fill(written, original=original).strip())

    def titled(title: str, written: str) -> str:
        return f"{literal(title)}\n{inner}" if (inner := text(written)) else ""

    parts = [
        text(data.system_prompt, original=default) or literal(default),
        _references(lore.before),
        text(data.description),
        _references(lore.after),
        titled(f"Personality of {fill.char}:", data.personality),
        titled("Scenario:", data.scenario),
        _examples(data.mes_example, fill),
        text(data.post_history_instructions),
    ]
    return "\n\n".join(part for part in parts if part)


def _references(names: list[str]) -> str:
    return "".join(f"@{name}" for name in names)


def _examples(written: str, fill: Placeholders) -> str:
    examples = [text for part in _START.split(written) if (text := literal(fill.fill(part).strip()))]
    if not examples:
        return ""
    title = literal(f"Examples of how {fill.char} talks with {USER}:")
    return "\n\n".join([title, *(f"[Example {number}]\n{text}" for number, text in enumerate(examples, 1))])


def _kept(card: Card, lore: Lore, notes: list[str]) -> dict[str, Any]:
    """What of a card the persona has no field for, as it was written."""
    kept: dict[str, Any] = {"spec": card.spec}
    if card.spec_version:
        kept["spec_version"] = card.spec_version
    for field, value in card.written.items():
        if field in _MAPPED or value in (None, "", [], {}) or field in ("spec", "spec_version", "data"):
            continue
        kept[field] = value
    if isinstance(assets := kept.get("assets"), list):
        small = [asset for asset in assets if len(str(_uri(asset))) <= _MAX_ASSET_URI]
        if len(small) < len(assets):
            notes.append(f"{len(assets) - len(small)} embedded assets (pictures, sounds) are not kept")
        kept["assets"] = small
    if lore.kept:
        kept["character_book"] = lore.kept
    return kept


def _uri(asset: Any) -> Any:
    return asset.get("uri") if isinstance(asset, dict) else asset
