"""Modules, their scripts and the functions of scripts on the wire."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from shared.schemas.base import Wire
from shared.schemas.persona import MAX_TEMPLATE, Description
from shared.schemas.template import NAME_PATTERN
from shared.schemas.text import JsonObject, Text
from shared.schemas.trace import LoggedLine
from shared.schemas.trigger import MAX_PATTERN, check_trigger

#: Longest script, in characters: what the compiler of scripts takes.
MAX_SCRIPT = 100_000
#: Priorities lie between this and its negative.
MAX_PRIORITY = 1_000_000

ModuleType = Literal["simple", "advanced"]
ExecutionContext = Literal["IMMEDIATE", "POST_RESPONSE", "ON_DEMAND"]
StateScope = Literal["conversation", "persona"]

ModuleName = Annotated[
    str,
    Field(
        pattern=NAME_PATTERN,
        description="A small letter, then up to 49 of a-z, 0-9 and _; unique for its owner.",
    ),
]
Content = Annotated[Text, Field(max_length=MAX_TEMPLATE, description="May hold @names and ${variables}.")]
Script = Annotated[Text, Field(max_length=MAX_SCRIPT)]
Trigger = Annotated[
    Text,
    Field(
        max_length=MAX_PATTERN,
        description="When it runs: empty or * always, a keyword, alternatives (a|b), a regular expression.",
    ),
    AfterValidator(check_trigger),
]
Priority = Annotated[
    int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY, strict=True, description="Lower runs first.")
]


class ModuleCreate(Wire):
    """``POST /api/modules``: an ``advanced`` module has a script, a ``simple`` one has none."""

    name: ModuleName
    description: Description | None = None
    content: Content | None = None
    type: ModuleType = "simple"
    script: Script | None = Field(None, validate_default=True)
    execution_context: ExecutionContext = "IMMEDIATE"
    trigger_pattern: Trigger | None = None
    priority: Priority = 100
    fallback: Content | None = Field(
        None, description="What it contributes when it fails or does not run; shown as it is."
    )
    state_scope: StateScope = "conversation"
    is_active: bool = True

    @field_validator("script")
    @classmethod
    def _script_of_its_type(cls, script: str | None, others: ValidationInfo) -> str | None:
        match others.data.get("type"):
            case "advanced" if script is None:
                raise ValueError("is missing: an advanced module has one")
            case "simple" if script is not None:
                raise ValueError("a simple module has none: make the type advanced, or send null")
        return script


class ModuleUpdate(Wire):
    """``PATCH /api/modules/{id}``: what is sent is changed; ``null`` empties what may be empty."""

    name: ModuleName = Field(default="", validate_default=False)
    description: Description | None = None
    content: Content | None = None
    type: ModuleType = "simple"
    script: Script | None = None
    execution_context: ExecutionContext = "IMMEDIATE"
    trigger_pattern: Trigger | None = None
    priority: Priority = 100
    fallback: Content | None = None
    state_scope: StateScope = "conversation"
    is_active: bool = True


class ModuleOut(Wire):
    """A module; ``script_analysis`` is what its syntax tree tells, ``null`` without a script."""

    id: uuid.UUID
    name: str
    description: str | None
    content: str | None
    type: ModuleType
    script: str | None
    execution_context: ExecutionContext
    trigger_pattern: str | None
    priority: int
    fallback: str | None
    state_scope: StateScope
    is_active: bool
    requires_ai_inference: bool
    script_analysis: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime


class ScriptTest(Wire):
    """``POST /api/modules/test-script``: a script, and what it is to find.

    ``variables`` are those that the module would have from earlier turns; ``run_ai`` lets ``generate`` and
    ``reflect`` call the model, else they give a placeholder.
    """

    script: Script
    content: Content | None = None
    conversation_id: uuid.UUID | None = None
    variables: JsonObject = Field(default_factory=dict)
    message: Text | None = Field(None, max_length=100_000, description="The user message of the turn.")
    execution_context: ExecutionContext = "IMMEDIATE"
    run_ai: bool = False


class ScriptFault(Wire):
    """Why a script failed or was stopped; ``line`` and ``column`` count from 1."""

    type: str
    message: str
    line: int | None = None
    column: int | None = None


class ScriptTested(Wire):
    """What a script did; ``outputs`` holds every published variable by name, ``duration_ms`` is wall time.

    ``omitted`` has the names whose values JSON cannot hold, and why; ``log`` is what ``ctx.log`` left.
    """

    success: bool
    resolved_content: str | None
    outputs: dict[str, Any]
    omitted: dict[str, str]
    printed: str
    log: list[LoggedLine]
    error: ScriptFault | None
    duration_ms: float


class FunctionParameter(Wire):
    """A parameter of a function; ``default`` counts where it is not required."""

    name: str
    type: str
    default: Any = None
    required: bool


class PluginFunction(Wire):
    """A function that scripts call as ``ctx.<name>(…)``."""

    name: str
    signature: str
    docstring: str
    category: str
    parameters: list[FunctionParameter]


class PluginFunctions(Wire):
    """``GET /api/modules/plugin-functions``."""

    functions: list[PluginFunction]
    total_count: int
