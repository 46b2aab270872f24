"""What a turn knows of modules before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

ModuleType = Literal["simple", "advanced"]
ExecutionContext = Literal["IMMEDIATE", "POST_RESPONSE", "ON_DEMAND"]
StateScope = Literal["conversation", "persona"]

#: Priority of a module that states none; lower ones go first.
DEFAULT_PRIORITY = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A module, as its owner saved it.

    Attributes:
        name: what references to it say.
        type: ``simple`` is text; ``advanced`` has a script whose variables its content shows.
        content: a template; ``None`` or empty: an advanced module shows its published values, a line each.
        script: Python; ``None`` or empty for a simple module.
        execution_context: when an advanced module runs; simple ones are text at any time.
        trigger_pattern: what must be said for it to take part; see :mod:`shared.schemas.trigger`.
        priority: lower goes first among modules that do not depend on one another.
        fallback: text, not a template, that stands in its place when it fails or does not run; ``None`` is
            nothing.
        state_scope: what keeps its variables from turn to turn.
        requires_ai_inference: whether its script calls a model.
        module_names: the names that its script gives to ``run_module`` literally.
        is_active: whether its owner has not switched it off.
    """

    id: UUID
    name: str
    type: ModuleType = "simple"
    content: str | None = None
    script: str | None = None
    execution_context: ExecutionContext = "IMMEDIATE"
    trigger_pattern: str | None = None
    priority: int = DEFAULT_PRIORITY
    fallback: str | None = None
    state_scope: StateScope = "conversation"
    requires_ai_inference: bool = False
    module_names: tuple[str, ...] = ()
    is_active: bool = True

    @property
    def is_scripted(self) -> bool:
        """Whether there is a script to run. A simple module has none, whatever its other fields say."""
        return self.type == "advanced"

    @property
    def runs_after_answer(self) -> bool:
        """Whether its script runs in stages 4 and 5."""
        return self.type == "advanced" and self.execution_context == "POST_RESPONSE"

    @property
    def runs_on_demand(self) -> bool:
        """Whether its script runs only when it is named."""
        return self.type == "advanced" and self.execution_context == "ON_DEMAND"


@dataclass(frozen=True, slots=True)
class ModuleState:
    """What a module's last good run left: all its variables, and when."""

    variables: dict[str, Any]
    executed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnModules:
    """All that the modules of one turn are made from.

    Attributes:
        template: the persona's.
        modules: by name: whatever the template, the client and the modules themselves may reach.
        states: by module id, as seen from the turn's branch.
        user_message: the newest one, which triggers search.
        requested: names of ON_DEMAND modules that the client wants run.
        implicit: further values for every module's ``ctx`` and ``${…}``, as ``conversation_id``.
    """

    template: str
    modules: Mapping[str, Module] = field(default_factory=dict)
    states: Mapping[UUID, ModuleState] = field(default_factory=dict)
    user_message: str = ""
    requested: frozenset[str] = frozenset()
    implicit: Mapping[str, Any] = field(default_factory=dict)
