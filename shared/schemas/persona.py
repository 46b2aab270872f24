"""Personas on the wire."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

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
