"""The spans within an attempt: scripts, and calls to providers."""

from __future__ import annotations

from shared import tracing
from workers.chat.modules.module import Module
from workers.chat.modules.runner import ScriptInputs
from workers.jobs.turns import Target
from workers.providers.base.models import ChatResponse
from workers.sandbox.result import ScriptExecutionResult


def script_span(module: Module, inputs: ScriptInputs) -> tracing.Span:
    """One run of a module's script, its wait for a process included; to be entered."""
    if not tracing.on():
        return tracing.NOTHING
    return tracing.span(
        "script",
        {
            "parley.module.id": str(module.id),
            "parley.stage": inputs.stage,
            "parley.script.nesting": inputs.nesting,
        },
    )


def script_ended(span: tracing.Span, result: ScriptExecutionResult) -> None:
    """Tell how the run went; of an error its kind, since a script chooses the type of its own errors."""
    span.set({"parley.script.calls": result.calls, "parley.script.succeeded": result.success})
    if result.error is not None:
        span.fail(f"script_{result.error.kind.value}")


def call_span(target: Target, model: str) -> tracing.Span:
    """One call to a provider, its repetitions included; to be entered."""
    if not tracing.on():
        return tracing.NOTHING
    return tracing.span(
        "provider call",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": target.provider.value,
            "gen_ai.request.model": model,
            "parley.connection.id": None if target.connection_id is None else str(target.connection_id),
        },
        kind="client",
    )


def call_ended(span: tracing.Span, response: ChatResponse) -> None:
    """Tell what the provider counted."""
    if not span.recording:
        return
    usage = response.usage
    span.set(
        {
            "gen_ai.response.model": response.metadata.get("model"),
            "gen_ai.usage.input_tokens": usage.input_tokens if usage else None,
            "gen_ai.usage.output_tokens": usage.output_tokens if usage else None,
            "parley.finish_reason": response.finish_reason,
            "parley.first_token_seconds": response.metadata.get("time_to_first_token"),
        }
    )
