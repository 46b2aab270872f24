"""Model calls of scripts. They call the provider once and run no module and no stage."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from pydantic import ValidationError

from shared.schemas.controls import ChatControls
from workers.sandbox.plugins.context import MAX_REFLECTION_DEPTH, PluginContext
from workers.sandbox.plugins.errors import CallError, GenerationFailed, generation_error
from workers.sandbox.plugins.ports import GenerateCall, Generator, ReflectCall, ReflectRole
from workers.sandbox.plugins.registry import plugin_function

GENERATE_DEFAULTS: Mapping[str, Any] = {"temperature": 0.1, "max_tokens": 1000}
REFLECT_DEFAULTS: Mapping[str, Any] = {"temperature": 0.3, "max_tokens": 200}
#: What a script does not take over from the session: nobody is there to answer a tool call.
NOT_INHERITED = frozenset({"tools", "tool_choice"})
#: Characters of its instructions that the audit trail keeps.
AUDITED = 100

_FORMS = (
    "generate(instructions), generate(instructions, input), generate(provider, model, instructions) or "
    "generate(provider, model, instructions, input)"
)


@plugin_function(category="ai")
async def generate(
    context: PluginContext,
    *texts: str,
    instructions: str | None = None,
    input: str | None = None,
    provider: str | None = None,
    model: str | None = None,
    **controls: Any,
) -> str:
    """A model's answer to instructions, without the persona's prompt.

    Forms: ``generate(instructions)``, ``generate(instructions, input)``, ``generate(provider, model,
    instructions)``, ``generate(provider, model, instructions, input)``; each can be given by name, too. The
    provider is ``ollama``, ``openai`` or the name of a connection; without one, what answers this turn.

    ``controls`` are the chat controls (``temperature``, ``top_p``, ``max_tokens``, ``stop``, ``json_mode``,
    …). One that is given goes before the session's, the session's before the defaults: temperature 0.1,
    max_tokens 1000.

    Raises ``ctx.GenerationError`` when there is no answer; its text begins with a stable code
    (``provider_timeout: …``).
    """
    named = {"instructions": instructions, "input": input, "provider": provider, "model": model}
    text = _form(texts, {name: value for name, value in named.items() if value is not None})
    _said("generate", text.get("instructions"))
    merged = _controls("generate", controls, context.session_controls, GENERATE_DEFAULTS)
    ai = _generator("generate", context)
    call = GenerateCall(
        instructions=text["instructions"],
        input=text.get("input"),
        provider=text.get("provider"),
        model=text.get("model"),
        controls=merged,
        explicit=_given(controls),
    )
    context.calls.take("generate")
    return await _answered(ai.generate(call))


@plugin_function(category="ai")
async def reflect(
    context: PluginContext,
    instructions: str,
    role: ReflectRole = "assistant",
    provider: str | None = None,
    model: str | None = None,
    **controls: Any,
) -> str:
    """A model's answer to instructions under the persona's own system prompt.

    It sees the prompt as this stage does: before the answer the text as resolved so far; after it the prompt
    that was sent, and the reply. ``role`` is how the instructions are posted. ``controls`` as of
    ``generate``; defaults: temperature 0.3, max_tokens 200.

    Raises ``ctx.GenerationError`` when there is no prompt or no answer, or when a module that other modules
    ran (three of them, one in the other) reflects.
    """
    _said("reflect", instructions)
    merged = _controls("reflect", controls, context.session_controls, REFLECT_DEFAULTS)
    ai = _generator("reflect", context)
    if context.reflection_depth >= MAX_REFLECTION_DEPTH:
        raise generation_error(
            "reflection_depth_exceeded",
            f"reflect(): this module is run by {context.reflection_depth} others, one in the other, and only "
            f"{MAX_REFLECTION_DEPTH - 1} may stand above a reflection; reflect in the outer module",
        )
    if context.visible_prompt is None:
        raise generation_error(
            "no_prompt", "reflect(): there is no system prompt to reflect on; use generate(), or a persona"
        )
    call = ReflectCall(
        instructions=instructions,
        role=role,
        prompt=context.visible_prompt,
        reply=context.reply,
        provider=provider,
        model=model,
        controls=merged,
        explicit=_given(controls),
    )
    context.calls.take("reflect")
    entry: dict[str, Any] = {
        "module_name": context.module_name,
        "stage": context.stage,
        "depth": context.reflection_depth + 1,
        "role": role,
        "instructions": instructions[:AUDITED],
        "at": context.now().isoformat(),
        "outcome": "running",
    }
    context.calls.trail.append(entry)
    try:
        answer = await _answered(ai.reflect(call))
    except CallError as error:
        entry["outcome"] = error.code or "failed"
        raise
    except BaseException:
        entry["outcome"] = "interrupted"
        raise
    entry["outcome"] = "answered"
    return answer


@plugin_function(category="ai")
def can_reflect(context: PluginContext) -> bool:
    """Whether ``reflect()`` would reach the model here and now."""
    return (
        context.ai is not None
        and context.visible_prompt is not None
        and context.reflection_depth < MAX_REFLECTION_DEPTH
        and context.calls.made < context.calls.limit
    )


@plugin_function(category="ai")
def get_reflection_audit_trail(context: PluginContext) -> list[dict[str, Any]]:
    """The last ten reflections of this turn, oldest first.

    Keys: ``module_name, stage, depth, role, at, outcome``, and ``instructions``, the first 100 characters.
    """
    return [dict(entry) for entry in context.calls.trail]


def _form(texts: tuple[str, ...], named: dict[str, str]) -> dict[str, str]:
    forms = {
        0: (),
        1: ("instructions",),
        2: ("instructions", "input"),
        3: ("provider", "model", "instructions"),
        4: ("provider", "model", "instructions", "input"),
    }
    if len(texts) not in forms:
        raise CallError("TypeError", f"generate(): {len(texts)} texts are too many; call it as {_FORMS}")
    placed = dict(zip(forms[len(texts)], texts, strict=True))
    twice = sorted(placed.keys() & named.keys())
    if twice:
        raise CallError(
            "TypeError", f"generate(): argument {twice[0]} is given twice, by place and by name; give it once"
        )
    return placed | named


def _said(function: str, instructions: str | None) -> None:
    if instructions is None:
        raise CallError("TypeError", f"{function}(): argument instructions is missing; call it as {_FORMS}")
    if not instructions.strip():
        raise CallError(
            "ValueError",
            f"{function}(): argument instructions must not be blank; say what the model is to do",
        )


def _given(controls: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(name for name, value in controls.items() if value is not None)


def _controls(
    function: str, given: Mapping[str, Any], session: ChatControls, defaults: Mapping[str, Any]
) -> ChatControls:
    """Explicit controls over the session's over the defaults; ``None`` counts as not given."""
    for name in given:
        if name not in ChatControls.model_fields:
            raise CallError(
                "TypeError",
                f"{function}() has no control {name[:60]!r}; the controls are "
                f"{', '.join(sorted(ChatControls.model_fields))}",
            )
    explicit = {name: given[name] for name in _given(given)}
    inherited = {name: value for name, value in session.chosen().items() if name not in NOT_INHERITED}
    try:
        ChatControls.model_validate(explicit, strict=True)
        return ChatControls.model_validate({**defaults, **inherited, **explicit})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "tool_choice"
        raise CallError(
            "ValueError",
            f"{function}(): control {name}: {first['msg'][:1].lower()}{first['msg'][1:]}; correct it or "
            "leave it out",
        ) from None


def _generator(function: str, context: PluginContext) -> Generator:
    if context.ai is None:
        raise generation_error(
            "model_calls_off",
            f"{function}(): model calls are off in this run; allow them (run_ai), or catch "
            "ctx.GenerationError",
        )
    return context.ai


async def _answered(answer: Awaitable[str]) -> str:
    try:
        return await answer
    except GenerationFailed as failed:
        raise generation_error(failed.code, failed.message) from failed
