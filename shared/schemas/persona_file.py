"""A persona as a file: itself, the modules that it reaches, and its image; in JSON or in YAML."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal, Self

import orjson
from pydantic import AfterValidator, Field, model_validator

from shared.schemas.base import Wire
from shared.schemas.module import ModuleCreate
from shared.schemas.persona import MAX_IMAGE, ImageType, PersonaCreate, PersonaOut
from shared.schemas.yaml_document import write_yaml

FORMAT: Final = "parley.persona"
VERSION: Final = 1
MAX_MODULES = 1000

FileFormat = Literal["json", "yaml"]
MEDIA_TYPES: Mapping[FileFormat, str] = {"json": "application/json", "yaml": "application/yaml"}


def _image_data(value: str) -> str:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("must be base64") from error
    return value


class PersonaImage(Wire):
    """A persona's image inside its file."""

    content_type: ImageType
    data: Annotated[str, Field(max_length=(MAX_IMAGE + 2) // 3 * 4), AfterValidator(_image_data)]

    @classmethod
    def of(cls, content_type: ImageType, content: bytes) -> Self:
        """The image with these bytes."""
        return cls(content_type=content_type, data=base64.b64encode(content).decode())

    def content(self) -> bytes:
        """Its bytes."""
        return base64.b64decode(self.data)


class PersonaFile(Wire):
    """No ids, no owner, no times, no connections; ``version`` grows when the form changes.

    ``modules`` are those that the persona reaches: named in its template, in the content of such a module, or
    by a string that such a module's script gives to ``run_module``.
    """

    format: Literal["parley.persona"] = FORMAT
    version: Literal[1] = VERSION
    persona: PersonaCreate
    modules: list[ModuleCreate] = Field(default_factory=list, max_length=MAX_MODULES)
    image: PersonaImage | None = None

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        seen: set[str] = set()
        for module in self.modules:
            if module.name in seen:
                raise ValueError(f"there are two modules of the name {module.name}")
            seen.add(module.name)
        return self

    def write(self, form: FileFormat) -> str:
        """The file's text."""
        value = self.model_dump(mode="json")
        if form == "yaml":
            return write_yaml(value)
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


#: What an import does with one thing: make it; leave the equal one that is there; refuse, since another one
#: has its name; make it under another name.
ImportAction = Literal["create", "same", "conflict", "renamed"]


class ItemImported(Wire):
    """One thing of the file: its name there, what is done, and the name (and id) that it has afterwards."""

    name: str
    action: ImportAction
    becomes: str
    id: uuid.UUID | None = None


class PersonaImported(Wire):
    """What an import did, or with ``dry_run`` would do. With a ``conflict`` it would do nothing.

    ``notes`` tell what a reader should know: references that lead nowhere, what of a card has no equal here.
    """

    dry_run: bool
    source: Literal["file", "character_card"]
    conflict: bool
    persona: ItemImported
    modules: list[ItemImported]
    has_image: bool
    notes: list[str]
    #: The persona that is there now; null for a dry run.
    made: PersonaOut | None = None


def unique_name(wanted: str, taken: Iterable[str], longest: int = 50) -> str:
    """``wanted``, or the first of ``wanted_2``, ``wanted_3``, … that is not taken."""
    names = set(taken)
    candidate, number = wanted[:longest], 2
    while candidate in names:
        suffix = f"_{number}"
        candidate = wanted[: longest - len(suffix)] + suffix
        number += 1
    return candidate
