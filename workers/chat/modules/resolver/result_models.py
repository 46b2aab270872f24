"""What comes out of resolving a turn's modules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from shared.schemas.trace import ModuleTrace, StageTrace
from workers.chat.modules.module import StateScope
from workers.chat.modules.warning import ModuleWarning, WarningType
from workers.chat.system_prompt_state import SystemPromptState

__all__ = [
    "ModuleOutcome",
    "ModuleWarning",
    "ResolvedTemplate",
    "StageUpdate",
    "StateChange",
    "WarningType",
]


@dataclass(frozen=True, slots=True)
class StageUpdate:
    """A stage began or ended; ``modules`` are the names of those that take part, in the stated order."""

    stage: int
    state: Literal["started", "finished"]
    label: str
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StateChange:
    """What a successful run leaves.

    Attributes:
        variables: the module's whole new variables: those of its last good run, with what this one published
            or set in place of what had the same name.
    """

    module_id: UUID
    module_name: str
    scope: StateScope
    stage: int
    variables: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ModuleOutcome:
    """What became of one module in stage 4 or 5; ``change`` is ``None`` when it failed."""

    module_id: UUID
    module_name: str
    stage: int
    change: StateChange | None
    trace: ModuleTrace
    warnings: tuple[ModuleWarning, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedTemplate:
    """The system prompt of a turn, and how it came about.

    Attributes:
        resolved_template: the prompt.
        stages: traces of the stages that had something to do.
        modules: traces of all modules that took part, in the stated order.
        warnings: by stage, and in the stated order of their modules.
        state_changes: to be committed with the answer, in the stated order.
        prompt_state: the prompt after each stage.
        token_estimate: about how many tokens the prompt has.
    """

    resolved_template: str
    prompt_state: SystemPromptState
    token_estimate: int = 0
    stages: list[StageTrace] = field(default_factory=list)
    modules: list[ModuleTrace] = field(default_factory=list)
    warnings: list[ModuleWarning] = field(default_factory=list)
    state_changes: list[StateChange] = field(default_factory=list)
