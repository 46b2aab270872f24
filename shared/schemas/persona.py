"""Personas on the wire, and the document that carries one from installation to installation."""

from __future__ import annotations

import base64
import binascii
import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from shared.schemas.base import Wire
from shared.schemas.text import JsonObject, Name, Said, Text

MAX_TEMPLATE = 200_000
MAX_FIRST_MESSAGE = 100_000
#: Largest image, in bytes.
MAX_IMAGE = 5 * 1024 * 1024

ImageType = Literal["image/png", "image/jpeg", "image/gif", "image/webp"]


def _reactive(value: Any) -> Any:
    if value == "autonomous":
        raise ValueError("autonomous personas are refused, since nothing runs them yet; use reactive")
    return value


PersonaName = Annotated[Name, Field(max_length=255)]
Template = Annotated[Said, Field(max_length=MAX_TEMPLATE)]
Description = Annotated[Text, Field(max_length=10_000)]
FirstMessage = Annotated[Said, Field(max_length=MAX_FIRST_MESSAGE)]
Mode = Annotated[Literal["reactive"], BeforeValidator(_reactive)]


class History(Wire):
    """How much of the conversation goes to the model; ``null``: what fits it. 0 messages: none."""

    max_messages: int | None = Field(None, ge=0, le=100_000)
    max_tokens: int | None = Field(None, ge=0, le=100_000_000)


class PersonaCreate(Wire):
    """``POST /api/personas``."""

    name: PersonaName
    description: Description | None = None
    template: Template
    mode: Mode = "reactive"
    first_message: FirstMessage | None = None
    history: History | None = None
    extra_data: JsonObject = Field(default_factory=dict)
    is_active: bool = True


class PersonaUpdate(Wire):
    """``PATCH /api/personas/{id}``: what is sent is changed; ``null`` empties what may be empty."""

    name: PersonaName = Field(default="", validate_default=False)
    description: Description | None = None
    template: Template = Field(default="", validate_default=False)
    mode: Mode = "reactive"
    first_message: FirstMessage | None = None
    history: History | None = None
    extra_data: JsonObject = Field(default_factory=dict)
    is_active: bool = True


class PersonaOut(Wire):
    """A persona; ``image_url`` needs an API key like everything else."""

    id: uuid.UUID
    name: str
    description: str | None
    template: str
    mode: str
    first_message: str | None
    history: History | None
    image_url: str | None
    extra_data: dict[str, Any]
    is_active: bool
    created_at: datetime
    updated_at: datetime


def _image_data(value: str) -> str:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("must be base64") from error
    return value


class PersonaImage(Wire):
    """A persona's image inside its document."""

    content_type: ImageType
    data: Annotated[str, Field(max_length=(MAX_IMAGE + 2) // 3 * 4), AfterValidator(_image_data)]


class PersonaDocument(Wire):
    """A persona as a file: no ids, no owner, no times. ``version`` grows when the form changes."""

    format: Literal["parley.persona"] = "parley.persona"
    version: Literal[1] = 1
    persona: PersonaCreate
    image: PersonaImage | None = None


class PersonaImported(Wire):
    """What an import did, or with ``dry_run`` would do.

    ``conflict`` tells that the name is taken and nothing would be made; with ``rename`` a free name is
    taken instead, and ``renamed_from`` tells the document's.
    """

    dry_run: bool
    name: str
    renamed_from: str | None
    conflict: bool
    has_image: bool
    persona: PersonaOut | None
