"""What is told of a module that gave less than it was meant to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from shared.schemas.trace import TracedWarning


class WarningType(StrEnum):
    """Why a module gave less than it was meant to."""

    #: No module has the name; the reference stays as it was written.
    MODULE_NOT_FOUND = "module_not_found"
    #: Modules refer to one another in a circle.
    CIRCULAR_DEPENDENCY = "circular_dependency"
    #: Modules lie in one another deeper than the limit.
    MAX_DEPTH_EXCEEDED = "max_depth_exceeded"
    #: The modules of the turn refer to one another more often than is followed.
    TOO_MANY_REFERENCES = "too_many_references"
    #: There are more warnings than are told.
    MORE_WARNINGS = "more_warnings"
    #: A text would have made the whole longer than the limit; it was left out.
    TEXT_TOO_LONG = "text_too_long"
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
