"""What comes out of resolving a turn's modules."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from shared.schemas.trace import ModuleTrace, StageTrace, TracedWarning
from workers.chat.modules.module import StateScope
from workers.chat.system_prompt_state import SystemPromptState


class WarningType(StrEnum):
    """Why a module gave less than it was meant to."""

    #: No module has the name; the reference stays as it was written.
    MODULE_NOT_FOUND = "module_not_found"
    #: Modules refer to one another in a circle.
    CIRCULAR_DEPENDENCY = "circular_dependency"
    #: Modules lie in one another deeper than the limit.
    MAX_DEPTH_EXCEEDED = "max_depth_exceeded"
    #: The client named a module that is not ON_DEMAND.
    NOT_ON_DEMAND = "not_on_demand"
    #: The trigger's search took longer than its limit; it counts as no match.
    TRIGGER_TIMEOUT = "trigger_timeout"
    #: The trigger is no regular expression; it is searched for as it stands.
    INVALID_TRIGGER = "invalid_trigger"
    #: The script failed, or ran into a limit.
    EXECUTION_ERROR = "execution_error"
    #: The service failed at running it.
    PROCESSING_ERROR = "processing_error"


@dataclass(frozen=True, slots=True)
class ModuleWarning:
    """Something that went wrong without stopping the turn."""

    module_name: str | None
    warning_type: WarningType
    message: str
    stage: int

    def traced(self) -> TracedWarning:
        """The warning as the trace has it."""
        return TracedWarning(
            module_name=self.module_name,
            warning_type=self.warning_type.value,
            message=self.message,
            stage=self.stage,
        )


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
        warnings: in the order in which they were given.
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
