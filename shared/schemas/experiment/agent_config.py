"""One participant."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from shared.schemas.base import Wire
from shared.schemas.experiment.scalars import ConnectionName, LanguageName, ModelName, Number, Whole
from shared.schemas.experiment.terms import Language
from shared.schemas.text import storable

MAX_MEMORY = 1_000_000  # characters


def _name(value: str) -> str:
    value = " ".join(storable(value).split())
    if not any(character.isalnum() for character in value):
        raise ValueError("must have a letter or a digit")
    if not value.isprintable():
        raise ValueError("must not have control characters")
    return value


#: What an agent is called; blanks are written as one space.
AgentName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_name)]


class AgentConfig(Wire):
    """An entry of ``agents``."""

    name: AgentName = Field(
        description="What the others call it; unique, also without regard to case and blanks."
    )
    personality: Annotated[str, Field(max_length=20_000), AfterValidator(storable)] = Field(
        description="Who it is, in the second person; stands at the start of its system prompt."
    )
    model: ModelName = Field(
        "o3-mini",
        description="Its model: `local` for the default of this service, `ollama/…`, `gpt-…`, `o3-…`, "
        "`gemini-…`, "
        "`<vendor>/<model>` through OpenRouter, `<connection>/<model>`, or a name that `connection` knows.",
    )
    connection: ConnectionName | None = Field(
        None,
        description="Stored connection (name or id) to use; null: the top-level `connection`, or by model.",
    )
    temperature: Number = Field(
        0.7,
        ge=0,
        le=2,
        description="Sampling temperature; left out for a model that refuses it, and reported.",
    )
    memory_character_limit: Whole = Field(
        50_000, gt=0, le=MAX_MEMORY, description="Characters that its memory may have."
    )
    reasoning_enabled: bool = Field(
        True, description="Whether it thinks for itself before it speaks in phase 2."
    )
    language: LanguageName = Field(
        Language.ENGLISH,
        description="Its language: English, Spanish or Mandarin (Chinese). Left out, the experiment's.",
    )
