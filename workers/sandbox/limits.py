"""What one run of a script may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from shared.settings import Settings

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptLimits:
    """Times in seconds, sizes in bytes. A run that reaches one of them is ended."""

    #: CPU time: waiting for a model costs none.
    cpu: float = 2.0
    #: Wall time from one answer of a ``ctx`` function to the next call, or to the end.
    between_calls: float = 5.0
    #: Wall time of the whole run, model calls included.
    total: float = 60.0
    #: What the run may add to its process.
    memory: int = 128 * MIB
    #: What it may print and publish.
    output: int = 256 * KIB
    #: How many ``ctx`` functions it may call.
    calls: int = 200
    #: One call or one answer, as JSON.
    payload: int = 1 * MIB

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The limits that the settings ``script_*`` name."""
        return cls(
            cpu=settings.script_cpu,
            between_calls=settings.script_between_calls,
            total=settings.script_total,
            memory=settings.script_memory,
            output=settings.script_output,
            calls=settings.script_calls,
            payload=settings.script_payload,
        )
