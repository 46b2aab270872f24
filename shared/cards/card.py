"""A character card as it is written, of any version, and where it is found."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from shared.cards.png import SIGNATURE, Chunk, PNGError, chunks
from shared.errors import ValidationError
from shared.schemas.connection import field_path
from shared.schemas.nesting import MAX_REQUEST_DEPTH, too_deep
from shared.schemas.text import storable_json

#: Bytes of a card's JSON, without its picture.
MAX_CARD = 4 * 1024 * 1024
MAX_ENTRIES = 1000

_V1_TEXTS = frozenset({"description", "personality", "scenario", "first_mes", "mes_example"})
_ASSET_KEYWORD = "chara-ext-asset_"
_SHOWN_FAULTS = 50


class CardError(ValidationError):
    """The card cannot be read; ``errors`` names the fields."""

    title = "The character card cannot be read"

    def __init__(self, *faults: tuple[str, str]) -> None:
        errors = [{"field": field, "message": message} for field, message in faults]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"{faults[0][0]}: {faults[0][1]}{more}", errors=errors)


def _text(value: Any) -> Any:
    return "" if value is None else value


def _object(value: Any) -> Any:
    return {} if value is None else value


def _list(value: Any) -> Any:
    return [] if value is None else value


def _keys(value: Any) -> Any:
    # V3 also describes several keys in one string, with commas between them.
    return value.split(",") if isinstance(value, str) else _list(value)


CardText = Annotated[str, BeforeValidator(_text)]
CardObject = Annotated[dict[str, Any], BeforeValidator(_object)]
Keys = Annotated[list[str], BeforeValidator(_keys)]
Flag = Annotated[bool, BeforeValidator(lambda value: False if value is None else value)]


class _CardModel(BaseModel):
    """Cards in circulation leave out fields, send null for them, and add their own: all of it is taken."""

    model_config = ConfigDict(extra="allow", frozen=True)


class LoreEntry(_CardModel):
    """One entry of a lorebook: text that belongs to the prompt when one of its keys is mentioned."""

    keys: Keys = Field(default_factory=list)
    content: CardText = ""
    enabled: Annotated[bool, BeforeValidator(lambda value: True if value is None else value)] = True
    insertion_order: Annotated[float, BeforeValidator(lambda value: 0 if value is None else value)] = 0
    case_sensitive: Flag = False
    use_regex: Flag = False
    constant: Flag = False
    selective: Flag = False
    secondary_keys: Keys = Field(default_factory=list)
    name: CardText = ""
    comment: CardText = ""
    position: CardText = ""


class Lorebook(_CardModel):
    """A card's ``character_book``."""

    entries: Annotated[list[LoreEntry], Field(max_length=MAX_ENTRIES), BeforeValidator(_list)] = Field(
        default_factory=list
    )
    scan_depth: float | None = None
    recursive_scanning: bool | None = None


class CardData(_CardModel):
    """The fields of a character, by the names that all versions share."""

    name: str
    nickname: CardText = ""
    description: CardText = ""
    personality: CardText = ""
    scenario: CardText = ""
    first_mes: CardText = ""
    mes_example: CardText = ""
    system_prompt: CardText = ""
    post_history_instructions: CardText = ""
    creator_notes: CardText = ""
    alternate_greetings: Annotated[list[str], BeforeValidator(_list)] = Field(default_factory=list)
    tags: Annotated[list[str], BeforeValidator(_list)] = Field(default_factory=list)
    character_book: Lorebook | None = None
    extensions: CardObject = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Card:
    """A card: its version (``v1``, ``v2``, ``v3``), its fields, and the same as it was written."""

    spec: str
    spec_version: str
    data: CardData
    written: dict[str, Any]

    @property
    def newer(self) -> bool:
        """Whether it says that it follows a newer version of its specification than is read here."""
        try:
            return float(self.spec_version or 0) > {"v1": 1.0, "v2": 2.0, "v3": 3.0}[self.spec]
        except ValueError:
            return True


def is_card(value: Any) -> bool:
    """Whether a JSON value is meant as a card (and not as a document of Parley)."""
    if not isinstance(value, dict) or "format" in value or "persona" in value:
        return False
    return "spec" in value or ("name" in value and not _V1_TEXTS.isdisjoint(value))


def parse_card(value: Any, field: str = "") -> Card:
    """The card that ``value`` (JSON types) is; ``field`` is what errors call it.

    Raises:
        CardError: it is not a V1, V2 or V3 card, or one of its fields is of another type.
    """
    prefix = f"{field}." if field else ""
    if not isinstance(value, dict):
        raise CardError((field or "body", "must be the JSON object of a character card"))
    spec = value.get("spec")
    try:
        storable_json(value)
    except ValueError as error:
        raise CardError((field or "body", str(error))) from error
    fields: Any
    if spec is None:
        name, fields, path = "v1", value, field
    elif spec in ("chara_card_v2", "chara_card_v3"):
        name, fields, path = str(spec)[-2:], value.get("data"), f"{prefix}data"
        if not isinstance(fields, dict):
            raise CardError((path, "must be the object with the character's fields"))
    else:
        raise CardError((f"{prefix}spec", "must be chara_card_v2 or chara_card_v3 (or absent: a V1 card)"))
    try:
        data = CardData.model_validate(fields)
    except pydantic.ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)[:_SHOWN_FAULTS]
        raise CardError(
            *((field_path(tuple(fault["loc"]), path), _message(fault)) for fault in faults)
        ) from error
    if not data.name.strip():
        raise CardError((f"{path}.name" if path else "name", "must not be blank"))
    return Card(name, str(value.get("spec_version") or ""), data, fields)


def _message(fault: Any) -> str:
    return "is missing" if fault["type"] == "missing" else str(fault["msg"]).removeprefix("Value error, ")


def read_png_card(content: bytes) -> tuple[Card, bytes]:
    """The card in a PNG or APNG file, and the picture without it.

    A ``ccv3`` chunk is preferred to a ``chara`` chunk. The picture loses both, embedded assets, and what
    stands behind its end; everything else in it stays as it is.

    Raises:
        PNGError: the file is damaged.
        CardError: there is no card in it, or one that cannot be read.
    """
    texts: dict[str, Chunk] = {}
    picture: list[bytes | memoryview] = [SIGNATURE]
    compressed: str | None = None
    for chunk in chunks(content):
        keyword = (chunk.keyword() or "").lower()
        if keyword in ("chara", "ccv3"):
            if chunk.type == b"tEXt":
                texts.setdefault(keyword, chunk)
            else:
                compressed = chunk.type.decode()
        elif not keyword.startswith(_ASSET_KEYWORD):
            picture.append(chunk.raw)
    for keyword in ("ccv3", "chara"):
        if keyword in texts:
            return parse_card(_decoded(texts[keyword], keyword), keyword), b"".join(picture)
    if compressed:
        raise PNGError(f"its card lies in a {compressed} chunk; cards are read from tEXt chunks only")
    raise PNGError("has no character card in it (no tEXt chunk named chara or ccv3)")


def _decoded(chunk: Chunk, field: str) -> Any:
    encoded = chunk.text().translate(None, b" \t\r\n")
    if len(encoded) > MAX_CARD // 3 * 4:
        raise CardError((field, f"the card's JSON may have {MAX_CARD} bytes at most"))
    try:
        text = base64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise CardError((field, "must be base64")) from error
    return read_card_json(text, field)


def read_card_json(text: bytes, field: str = "body") -> Any:
    """The JSON value in ``text``.

    Raises:
        CardError: it is not JSON in UTF-8, or is nested deeper than a request may be.
    """
    try:
        value = orjson.loads(text.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise CardError((field, f"is not JSON in UTF-8: {error.msg} (at {error.pos})")) from error
    if too_deep(text, value, MAX_REQUEST_DEPTH):
        raise CardError((field, f"must not be nested more than {MAX_REQUEST_DEPTH} levels deep"))
    return value
