"""What is sent to an import: a file of Parley, in JSON or YAML, or a character card, in JSON or PNG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import orjson
import pydantic
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import UploadFile

from gateway.images import check_image, image_type
from gateway.problems import MalformedJSONError
from shared.cards import card_persona, is_card, parse_card, read_png_card
from shared.cards.png import SIGNATURE
from shared.errors import ParleyError, ValidationError
from shared.schemas.nesting import MAX_REQUEST_DEPTH, too_deep
from shared.schemas.persona_file import PersonaFile, PersonaImage
from shared.schemas.yaml_document import read_yaml

_JSON = frozenset({"application/json", "text/json"})
_YAML = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})
_PNG = frozenset({"image/png", "image/apng"})
_UNTYPED = frozenset({"", "application/octet-stream", "text/plain"})
_FORM = "multipart/form-data"


class UnsupportedMediaTypeError(ParleyError):
    """The body is of a type that this route does not read."""

    code = "unsupported_media_type"
    status = 415
    title = "The type of the body is not read here"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file as it was sent."""

    content: bytes
    form: Literal["json", "yaml", "png"]
    #: Whether it was the part of a multipart form.
    in_form: bool = False


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """What was sent, read: a persona's file, and what there is to say about it."""

    file: PersonaFile
    source: Literal["file", "character_card"]
    notes: list[str]


async def receive(request: Request) -> Incoming:
    """The file in a request: its body, or the part ``file`` of a multipart form.

    Raises:
        UnsupportedMediaTypeError: it is neither JSON, YAML, PNG nor such a form.
        ValidationError: the form has no file.
    """
    body = await request.body()
    kind = _media_type(request.headers.get("content-type"))
    if kind != _FORM:
        return Incoming(body, _form(kind, "", body))
    async with request.form(max_files=1, max_fields=10) as fields:
        file = fields.get("file")
        if not isinstance(file, UploadFile):
            message = "is missing: send the file as the part file of the form"
            raise ValidationError(f"file: {message}", errors=[{"field": "file", "message": message}])
        content = await file.read()
        # What clients declare of a part is what they guess from its name: the name and the content tell more.
        return Incoming(content, _form("", (file.filename or "").lower(), content), in_form=True)


def _media_type(header: str | None) -> str:
    return (header or "").partition(";")[0].strip().lower()


def _form(kind: str, name: str, content: bytes) -> Literal["json", "yaml", "png"]:
    if kind in _JSON or kind.endswith("+json"):
        return "json"
    if kind in _YAML or kind.endswith("+yaml"):
        return "yaml"
    if kind in _PNG:
        return "png"
    if kind not in _UNTYPED:
        raise UnsupportedMediaTypeError(
            f"{kind[:100]} is not read here; send application/json, application/yaml, image/png, or a form "
            "(multipart/form-data) with the part file"
        )
    if content.startswith(SIGNATURE):
        return "png"
    if content.startswith(b"PK\x03\x04") or image_type(content) is not None:
        raise UnsupportedMediaTypeError(
            "character cards are read from JSON and PNG files; have yours exported as one of these"
        )
    if name.endswith((".yaml", ".yml")):
        return "yaml"
    return "json" if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else "yaml"


def read(incoming: Incoming) -> ImportedFile:
    """The persona's file that was sent, or that a card becomes.

    Raises:
        MalformedJSONError, YAMLError, PNGError, CardError: it cannot be read.
        RequestValidationError, ValidationError: it is not valid.
        ImageTooLargeError: its image has more bytes than are kept.
    """
    if incoming.form == "png":
        card, picture = read_png_card(incoming.content)
        check_image(picture, "image")
        made = card_persona(card, picture)
        return ImportedFile(made.file, "character_card", made.notes)
    value = _json(incoming.content) if incoming.form == "json" else read_yaml(incoming.content)
    if is_card(value):
        made = card_persona(parse_card(value))
        return ImportedFile(made.file, "character_card", made.notes)
    try:
        file = PersonaFile.model_validate(value)
    except pydantic.ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        raise RequestValidationError(
            [{**fault, "loc": ("body", *fault["loc"])} for fault in faults]
        ) from error
    return ImportedFile(_checked_image(file), "file", [])


def _checked_image(file: PersonaFile) -> PersonaFile:
    """``file``, whose image is of the type that it has, whatever it declares."""
    if file.image is not None:
        content = file.image.content()
        file.image = PersonaImage.of(check_image(content, "image.data"), content)
    return file


def _json(content: bytes) -> Any:
    try:
        value = orjson.loads(content.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise MalformedJSONError(f"the body is not JSON: {error.msg} (at {error.pos})") from error
    if too_deep(content, value, MAX_REQUEST_DEPTH):
        message = f"must not be nested more than {MAX_REQUEST_DEPTH} levels deep"
        raise ValidationError(f"body: {message}", errors=[{"field": "body", "message": message}])
    return value
