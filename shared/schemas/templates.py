"""Templates on the wire: resolved without a turn, and checked."""

from __future__ import annotations

import uuid
from typing import Annotated, Literal

from pydantic import Field

from shared.schemas.base import Wire
from shared.schemas.persona import MAX_TEMPLATE
from shared.schemas.text import Text
from shared.schemas.trace import ModuleTrace, StageTrace, TracedWarning

TemplateText = Annotated[Text, Field(max_length=MAX_TEMPLATE)]


class TemplateResolve(Wire):
    """``POST /api/templates/resolve``: stages 1 and 2, of which nothing is kept.

    State is that of the conversation's active branch and of the persona; ``message`` stands for the user
    message, which triggers are matched with. ``run_ai`` lets modules call the model.
    """

    template: TemplateText
    persona_id: uuid.UUID | None = None
    conversation_id: uuid.UUID | None = None
    message: Text | None = Field(None, max_length=100_000)
    run_ai: bool = False


class TemplateResolved(Wire):
    """The text that would be sent, and how each stage and module contributed to it."""

    resolved_template: str
    stages: list[StageTrace]
    modules: list[ModuleTrace]
    warnings: list[TracedWarning]
    token_estimate: int


class TemplateValidate(Wire):
    """``POST /api/templates/validate``."""

    template: TemplateText


class TemplateProblem(Wire):
    """Something that a template, or a module that it reaches, would have gone wrong.

    ``line`` and ``column`` count from 1 and lie in the template; ``path`` names the modules that lead to the
    problem, beginning with the one that the template refers to.
    """

    type: Literal[
        "module_not_found",
        "module_inactive",
        "invalid_name",
        "circular_dependency",
        "max_depth_exceeded",
        "too_many_references",
    ]
    message: str
    name: str
    line: int
    column: int
    path: list[str]


class TemplateValidated(Wire):
    """What is known of a template without running anything.

    ``total`` counts references, repeated ones too; the lists have each name once, in first-seen order.
    ``is_valid`` says that every reference leads to an active module, without a cycle or too long a path.
    """

    is_valid: bool
    module_references: list[str]
    existing_modules: list[str]
    missing_modules: list[str]
    invalid_module_names: list[str]
    variables: list[str]
    problems: list[TemplateProblem]
    total: int
