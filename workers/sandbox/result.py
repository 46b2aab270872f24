"""What comes back from a script: its variables, or why there are none."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal


class ErrorKind(StrEnum):
    """Why a script did not succeed."""

    #: It is not a script of this language; line and column say where.
    COMPILE = "compile"
    #: It raised an exception.
    RUNTIME = "runtime"
    #: It ran into one of its limits and was ended.
    LIMIT = "limit"
    #: It was not run: scripts cannot be confined on this machine, or the system gives no process.
    REFUSED = "refused"
    #: Its process died, or broke the protocol, for a reason that is not a limit.
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class ScriptError:
    """One failure of a script, in words for its author."""

    kind: ErrorKind
    #: The exception's type (``ZeroDivisionError``), or the limit's name (``cpu``).
    type: str
    message: str
    #: Counted from 1, in the script's source.
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class ScriptExecutionResult:
    """The outcome of one run."""

    success: bool
    #: Published top-level names and their values, of JSON types; empty when the script failed.
    variables: dict[str, Any]
    printed: str = ""
    error: ScriptError | None = None
    #: Wall time, waiting for a free place excluded.
    duration_ms: float = 0.0
    #: How many ``ctx`` functions the script called.
    calls: int = 0
    #: Public names whose values no variable can hold, and why.
    omitted: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScriptAnalysis:
    """What the syntax tree of a script tells without running it."""

    requires_ai_inference: bool
    #: Functions of ``ctx`` that are called, sorted.
    functions: tuple[str, ...]
    #: String literals given to ``run_module``.
    module_names: tuple[str, ...]
    imports: tuple[str, ...]
    lines: int
    has_loops: bool
    has_conditionals: bool
    complexity: Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class CompileResult:
    """The analysis of a script, or the reason why it does not compile: exactly one of the two."""

    analysis: ScriptAnalysis | None
    error: ScriptError | None
