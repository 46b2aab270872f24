"""The trace of a turn: every stage's prompt, and what each module did in it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from shared.schemas.base import Wire


class TracedWarning(Wire):
    """Something that went wrong without stopping the turn."""

    module_name: str | None
    warning_type: str
    message: str
    stage: int


class TracedTokens(Wire):
    """Tokens of the model calls that a module made."""

    input: int = 0
    output: int = 0


class TracedError(Wire):
    """Why a module's script did not succeed; ``line`` counts from 1 in its source."""

    type: str
    message: str
    line: int | None = None
    column: int | None = None


class LoggedLine(Wire):
    """A line that a script left by ``ctx.log``."""

    level: str
    message: str


class ModuleTrace(Wire):
    """One module in one stage.

    Attributes:
        inputs: the module's variables before it ran, and what its trigger matched.
        outputs: what this run published.
        omitted: names that it could not publish, since JSON has no such values, and why.
        output_text: what stands in the place of its references; ``None`` after the answer.
        variables: the module's variables afterwards.
        duration_ms: of the script; of the rendering for a module without one.
        calls: ``ctx`` functions called.
        log: what the script left by ``ctx.log``, in order.
        skipped: why it was not run, when it was not: ``trigger``, ``inactive``, ``not_requested``,
            ``no_state`` (it runs after the answer and never has), ``stored`` (its stored output was taken).
        called_by: the module whose script ran it by ``run_module``.
    """

    name: str
    id: str
    stage: int
    inputs: dict[str, Any] = Field(default_factory=dict)
    outputs: dict[str, Any] = Field(default_factory=dict)
    omitted: dict[str, str] = Field(default_factory=dict)
    output_text: str | None = None
    variables: dict[str, Any] = Field(default_factory=dict)
    warnings: list[TracedWarning] = Field(default_factory=list)
    duration_ms: float = 0.0
    tokens: TracedTokens = Field(default_factory=TracedTokens)
    calls: int = 0
    printed: str = ""
    log: list[LoggedLine] = Field(default_factory=list)
    error: TracedError | None = None
    skipped: str | None = None
    called_by: str | None = None


class StageTrace(Wire):
    """One stage. Prompts are ``None`` after the answer, where no prompt changes any more."""

    stage: int
    label: str
    prompt_before: str | None = None
    prompt_after: str | None = None
    duration_ms: float = 0.0
    modules: list[ModuleTrace] = Field(default_factory=list)


class TurnTrace(Wire):
    """``GET /api/chat/trace/{session_id}``.

    Attributes:
        session_id: the turn.
        attempt: which attempt the trace is of.
        stages: the answer, and those around it that had something to do, in order.
        warnings: all of them, in the order in which they were given.
        request: the provider request exactly as sent, without secrets; ``None`` until it was sent.
        response: metadata of the answer.
        token_estimate: about how many tokens the system prompt has.
        post_response: what became of the stages after the answer.
    """

    session_id: str
    attempt: int
    stages: list[StageTrace] = Field(default_factory=list)
    warnings: list[TracedWarning] = Field(default_factory=list)
    request: dict[str, Any] | None = None
    response: dict[str, Any] | None = None
    token_estimate: int = 0
    post_response: str | None = None
