"""Model calls of scripts: forms, precedence of controls, limits, and failures that can be caught."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from shared.schemas.controls import ChatControls
from tests.unit.sandbox.plugins.calls import call
from workers.sandbox.plugins.context import AUDIT_ENTRIES, ModelCalls, PluginContext
from workers.sandbox.plugins.errors import CallError, GenerationFailed
from workers.sandbox.plugins.ports import GenerateCall, ReflectCall
from workers.sandbox.plugins.testing import ScriptedGenerator, in_memory_context

#: Every control with a value that is not its default.
EVERY: dict[str, Any] = {
    "temperature": 1.5,
    "top_p": 0.5,
    "top_k": 7,
    "max_tokens": 33,
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "repeat_penalty": 1.2,
    "seed": 5,
    "stop": ["END"],
    "num_ctx": 1024,
    "json_mode": "object",
    "thinking": False,
    "reasoning_effort": "low",
    "verbosity": "high",
    "tools": [{"type": "function"}],
    "tool_choice": "auto",
}


def context(answers: Any = ("fine",) * 20, **changes: Any) -> tuple[PluginContext, ScriptedGenerator]:
    ai = ScriptedGenerator(answers)
    return in_memory_context(ai=ai, **({"visible_prompt": "You are Juno."} | changes)), ai


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        (["Sum up"], {}, ("Sum up", None, None, None)),
        (["Sum up", "a text"], {}, ("Sum up", "a text", None, None)),
        (["ollama", "small", "Sum up"], {}, ("Sum up", None, "ollama", "small")),
        (["ollama", "small", "Sum up", "a text"], {}, ("Sum up", "a text", "ollama", "small")),
        ([], {"instructions": "Sum up", "input": "a text"}, ("Sum up", "a text", None, None)),
        (["Sum up"], {"input": "", "model": "small"}, ("Sum up", "", None, "small")),
        (["Sum up", "a text"], {"provider": "openai"}, ("Sum up", "a text", "openai", None)),
    ],
)
async def test_generate_takes_each_of_its_forms(
    args: list[str], kwargs: dict[str, Any], expected: tuple[str | None, ...]
) -> None:
    ctx, ai = context()
    assert await call(ctx, "generate", *args, **kwargs) == "fine"
    (asked,) = ai.calls
    assert isinstance(asked, GenerateCall)
    assert (asked.instructions, asked.input, asked.provider, asked.model) == expected
    assert asked.controls == ChatControls(temperature=0.1, max_tokens=1000)
    assert asked.explicit == frozenset()


def test_the_controls_tried_are_all_there_are() -> None:
    assert set(EVERY) == set(ChatControls.model_fields)


@pytest.mark.parametrize("name", [name for name in EVERY if name != "tool_choice"])
@pytest.mark.parametrize("function", ["generate", "reflect"])
async def test_each_control_can_be_given_and_goes_before_the_session(function: str, name: str) -> None:
    session = ChatControls(temperature=0.9, max_tokens=500, json_mode="off")
    ctx, ai = context(session_controls=session)
    await call(ctx, function, "Sum up", **{name: EVERY[name]})
    (asked,) = ai.calls
    assert asked.controls == ChatControls(**{"temperature": 0.9, "max_tokens": 500, name: EVERY[name]})
    assert asked.explicit == {name}


@pytest.mark.parametrize(
    ("function", "defaults"),
    [
        ("generate", {"temperature": 0.1, "max_tokens": 1000}),
        ("reflect", {"temperature": 0.3, "max_tokens": 200}),
    ],
)
async def test_the_session_goes_before_the_defaults_without_its_tools(
    function: str, defaults: dict[str, Any]
) -> None:
    session = ChatControls(top_k=3, tools=[{"type": "function"}], tool_choice="auto")
    ctx, ai = context(session_controls=session)
    await call(ctx, function, "Sum up", temperature=None)
    await call(ctx, function, "Sum up", max_tokens=7, json_mode="off")
    assert ai.calls[0].controls == ChatControls(**defaults, top_k=3)
    assert ai.calls[0].explicit == frozenset()
    assert ai.calls[1].controls == ChatControls(**{**defaults, "max_tokens": 7}, top_k=3, json_mode="off")


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "type", "said"),
    [
        ("generate", [], {}, "TypeError", "argument instructions is missing"),
        ("generate", ["  "], {}, "ValueError", "argument instructions must not be blank"),
        ("generate", ["a"] * 5, {}, "TypeError", "5 texts are too many"),
        ("generate", ["a", "b"], {"input": "c"}, "TypeError", "argument input is given twice"),
        ("generate", ["a", "b", "c"], {"model": "m"}, "TypeError", "argument model is given twice"),
        ("generate", ["a"], {"temprature": 1}, "TypeError", "no control 'temprature'; the controls are"),
        ("generate", ["a"], {"temperature": 3}, "ValueError", "control temperature"),
        ("generate", ["a"], {"temperature": "1"}, "ValueError", "control temperature"),
        ("generate", ["a"], {"tool_choice": "auto"}, "ValueError", "tool_choice"),
        ("reflect", [""], {}, "ValueError", "argument instructions must not be blank"),
        ("reflect", ["a", "user"], {"max_token": 3}, "TypeError", "no control 'max_token'"),
    ],
)
async def test_a_wrong_call_reaches_no_model(
    function: str, args: list[Any], kwargs: dict[str, Any], type: str, said: str
) -> None:
    ctx, ai = context()
    with pytest.raises(CallError) as refused:
        await call(ctx, function, *args, **kwargs)
    assert refused.value.type == type
    assert f"{function}()" in refused.value.message
    assert said in refused.value.message
    assert ai.calls == []
    assert ctx.calls.made == 0


async def test_reflect_works_under_the_prompt_of_its_stage() -> None:
    ctx, ai = context(stage=5, reply="Hello!")
    assert await call(ctx, "reflect", "How do you feel?", "system", max_tokens=20) == "fine"
    (asked,) = ai.calls
    assert isinstance(asked, ReflectCall)
    assert (asked.prompt, asked.reply, asked.role) == ("You are Juno.", "Hello!", "system")
    assert asked.controls == ChatControls(temperature=0.3, max_tokens=20)


@pytest.mark.parametrize("function", ["generate", "reflect"])
async def test_a_failure_is_one_that_a_script_can_catch(function: str) -> None:
    ctx, _ = context([GenerationFailed("provider_timeout", "the provider took too long")])
    with pytest.raises(CallError) as refused:
        await call(ctx, function, "Sum up")
    assert (refused.value.type, refused.value.code) == ("GenerationError", "provider_timeout")
    assert refused.value.message == "provider_timeout: the provider took too long"


@pytest.mark.parametrize(
    ("function", "changes", "code"),
    [
        ("generate", {"ai": None}, "model_calls_off"),
        ("reflect", {"ai": None}, "model_calls_off"),
        ("reflect", {"visible_prompt": None}, "no_prompt"),
        ("reflect", {"reflection_depth": 3}, "reflection_depth_exceeded"),
        ("generate", {"calls": ModelCalls(limit=3, made=3)}, "model_calls_exceeded"),
        ("reflect", {"calls": ModelCalls(limit=3, made=3)}, "model_calls_exceeded"),
    ],
)
async def test_a_call_that_cannot_be_made_is_a_failure_too(
    function: str, changes: dict[str, Any], code: str
) -> None:
    fields: dict[str, Any] = {"ai": ScriptedGenerator(["fine"]), "visible_prompt": "You are Juno."}
    ctx = in_memory_context(**(fields | changes))
    with pytest.raises(CallError) as refused:
        await call(ctx, function, "Sum up")
    assert (refused.value.type, refused.value.code) == ("GenerationError", code)
    if function == "reflect":
        assert await call(ctx, "can_reflect") is False


async def test_calls_are_counted_over_all_runs_of_a_turn() -> None:
    ctx, ai = context(calls=ModelCalls(limit=2))
    inner = replace(ctx, module_name="inner", reflection_depth=1)
    await call(ctx, "generate", "a")
    assert await call(inner, "can_reflect") is True
    await call(inner, "reflect", "b")
    assert await call(ctx, "can_reflect") is False
    with pytest.raises(CallError, match="model_calls_exceeded"):
        await call(ctx, "generate", "c")
    assert len(ai.calls) == 2


async def test_a_module_that_modules_ran_reflects_down_to_the_third() -> None:
    ctx, _ = context()
    depths = []
    for _nth in range(3):
        await call(ctx, "reflect", "How do you feel?")
        depths.append(ctx.calls.trail[-1]["depth"])
        ctx = replace(ctx, reflection_depth=ctx.reflection_depth + 1)
    assert depths == [1, 2, 3]
    with pytest.raises(CallError, match="reflection_depth_exceeded"):
        await call(ctx, "reflect", "How do you feel?")


async def test_reflections_leave_a_trail() -> None:
    failure = GenerationFailed("provider_error", "no")
    ctx, _ = context([failure, *["fine"] * 20], stage=2, module_name="mood")
    assert await call(ctx, "get_reflection_audit_trail") == []
    with pytest.raises(CallError):
        await call(ctx, "reflect", "x" * 300, "user")
    await call(ctx, "reflect", "How?")
    failed, answered = await call(ctx, "get_reflection_audit_trail")
    assert failed == {
        "module_name": "mood",
        "stage": 2,
        "depth": 1,
        "role": "user",
        "instructions": "x" * 100,
        "at": "2026-03-04T12:00:00+00:00",
        "outcome": "provider_error",
    }
    assert answered["outcome"] == "answered"
    for _nth in range(AUDIT_ENTRIES + 2):
        await call(ctx, "reflect", "How?")
    assert len(await call(ctx, "get_reflection_audit_trail")) == AUDIT_ENTRIES


async def test_a_cancelled_reflection_is_told_apart() -> None:
    class Endless(ScriptedGenerator):
        def __init__(self) -> None:
            super().__init__()
            self.asked = asyncio.Event()

        async def reflect(self, call: ReflectCall) -> str:
            self.asked.set()
            return await asyncio.Future[str]()

    ai = Endless()
    ctx = in_memory_context(ai=ai, visible_prompt="You are Juno.")
    task = asyncio.create_task(call(ctx, "reflect", "How?"))
    await ai.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ctx.calls.trail[-1]["outcome"] == "interrupted"
