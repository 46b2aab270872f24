"""Stages 4 and 5: after the answer, in order, one module at a time to be committed."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from tests.unit.chat.modules.turns import (
    Resolution,
    after,
    fails,
    module_id,
    on_demand,
    publishes,
    script,
    simple,
    turn,
)
from workers.chat.modules.module import TurnModules
from workers.chat.modules.resolver.result_models import StateChange, WarningType
from workers.chat.modules.runner import ScriptInputs
from workers.chat.system_prompt_state import SystemPromptState


async def names(
    resolution: Resolution, turn: TurnModules, reply: str = "reply", **options: Any
) -> dict[int, list[str]]:
    found = await resolution.resolver.post_response_modules(turn, reply, **options)
    return {stage: [module.name for module in modules] for stage, modules in found.items()}


async def test_modules_are_selected_by_what_is_reached() -> None:
    modules = [
        after("direct"),
        simple("text", "@nested @own_text"),
        after("nested"),
        after("behind"),
        after("own_text", "@behind"),
        after("unreached"),
        script("quiet", "@hidden", trigger_pattern="never"),
        after("hidden"),
        after("off", is_active=False),
        on_demand("asked", "@by_asked"),
        after("by_asked"),
    ]
    template = r"@direct @text @quiet @off \@unreached"
    resolution = Resolution()
    assert await names(resolution, turn(template, *modules)) == {
        4: ["behind", "direct", "nested", "own_text"],
        5: [],
    }
    assert await names(resolution, turn("", *modules, requested=frozenset({"asked"}))) == {
        4: ["by_asked"],
        5: [],
    }
    assert await names(resolution, turn("no reference", *modules)) == {4: [], 5: []}


async def test_stage_5_takes_what_calls_a_model_and_what_depends_on_it() -> None:
    modules = [
        after("ai", ai=True),
        after("above", "@ai"),
        after("through", "@text"),
        simple("text", "@ai"),
        after("caller", calls=("helper",)),
        on_demand("helper", ai=True),
        after("plain", "@plain_ai_off"),
        after("plain_ai_off", ai=True, trigger_pattern="never"),
    ]
    template = "@above @through @caller @plain"
    assert await names(Resolution(), turn(template, *modules)) == {
        4: ["plain"],
        5: ["ai", "above", "caller", "through"],
    }


@pytest.mark.parametrize(
    ("said", "reply", "runs"),
    [("rain", "", True), ("", "It will RAIN", True), ("sun", "sun", False)],
)
async def test_triggers_search_the_reply_too(said: str, reply: str, runs: bool) -> None:
    found = await names(
        Resolution(), turn("@p", after("p", trigger_pattern="rain"), user_message=said), reply
    )
    assert found[4] == (["p"] if runs else [])


async def test_triggers_of_what_comes_before_the_answer_do_not_search_the_reply() -> None:
    modules = [script("m", "@p", trigger_pattern="rain"), after("p")]
    assert await names(Resolution(), turn("@m", *modules, user_message="sun"), "rain") == {4: [], 5: []}


async def test_what_is_done_does_not_run_again() -> None:
    modules = [after("a"), after("b"), after("c", ai=True)]
    resolution = Resolution({name: publishes(x=name) for name in "abc"})
    done = frozenset({module_id("a"), module_id("c")})
    this_turn = turn("@a@b@c", *modules)
    assert await names(resolution, this_turn, done=done) == {4: ["b"], 5: []}
    assert [outcome.module_name for outcome in await resolution.after(this_turn, done=done)] == ["b"]
    assert resolution.runner.started == ["b"]


async def test_outcomes_come_in_the_stated_order_whoever_is_finished_first() -> None:
    finished = {name: asyncio.Event() for name in "abc"}

    def waits(name: str, *others: str) -> Any:
        async def run(_: ScriptInputs) -> dict[str, Any]:
            for other in others:
                await finished[other].wait()
            finished[name].set()
            return {"x": name}

        return run

    modules = [after("a"), after("b", priority=1), after("c", priority=0), after("z", ai=True)]
    resolution = Resolution(
        {"c": waits("c", "b"), "b": waits("b", "a"), "a": waits("a"), "z": publishes(x="z")}
    )
    outcomes = await asyncio.wait_for(resolution.after(turn("@a@b@c@z", *modules)), 5)
    assert [(one.module_name, one.stage) for one in outcomes] == [("c", 4), ("b", 4), ("a", 4), ("z", 5)]
    assert resolution.runner.finished == ["a", "b", "c", "z"]
    assert outcomes[0].change == StateChange(module_id("c"), "c", "conversation", 4, {"x": "c"})


async def test_an_outcome_is_given_before_the_rest_of_its_stage_has_ended() -> None:
    go_on = asyncio.Event()

    async def slow(_: ScriptInputs) -> dict[str, Any]:
        await go_on.wait()
        return {}

    resolution = Resolution({"a": publishes(), "b": slow})
    outcomes = resolution.resolver.execute_post_response_stages(
        turn("@a@b", after("a"), after("b")), "reply", {}, SystemPromptState()
    )
    async with aclosing(outcomes):
        assert (await asyncio.wait_for(anext(outcomes), 5)).module_name == "a"
        go_on.set()
        assert (await asyncio.wait_for(anext(outcomes), 5)).module_name == "b"


async def test_closing_early_ends_what_runs() -> None:
    async def endless(_: ScriptInputs) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    resolution = Resolution({"a": publishes(), "b": endless})
    outcomes = resolution.resolver.execute_post_response_stages(
        turn("@a@b@c", after("a"), after("b"), after("c", ai=True)), "reply", {}, SystemPromptState()
    )
    async with aclosing(outcomes):
        await anext(outcomes)
    assert resolution.runner.cancelled == ["b"]
    assert "c" not in resolution.runner.started


async def test_scripts_see_the_answer_and_the_prompt_that_was_sent() -> None:
    resolution = Resolution({"p": publishes(), "q": publishes()})
    state = SystemPromptState("@p")
    state.set_stage_prompt(2, "resolved")
    state.set_stage_prompt(3, "sent")
    this_turn = turn(
        "@p@q", after("p"), after("q", ai=True), user_message="hi", implicit={"conversation_id": "c"}
    )
    outcomes = resolution.resolver.execute_post_response_stages(this_turn, "the reply", {"model": "m"}, state)
    assert len([outcome async for outcome in outcomes]) == 2
    for name, stage, stage_name in [("p", 4, "post_response"), ("q", 5, "post_response_ai")]:
        inputs = resolution.runner.inputs[name]
        assert (inputs.stage, inputs.reply) == (stage, "the reply")
        assert inputs.prompt_state.get_prompt_for_stage(stage) == "sent"
        assert inputs.prompt_state.reply == "the reply"
        assert inputs.attributes == {
            "conversation_id": "c",
            "last_user_message": "hi",
            "ai_response": "the reply",
            "response_metadata": {"model": "m"},
            "module_name": name,
            "module_id": str(module_id(name)),
            "stage": stage,
            "stage_name": stage_name,
            "trigger_data": {},
        }


async def test_scripts_see_what_the_turn_wrote_so_far() -> None:
    seen: dict[str, dict[str, Any]] = {}

    def look(name: str) -> Any:
        async def run(inputs: ScriptInputs) -> dict[str, Any]:
            seen[name] = {**inputs.visible}
            return {name: "new"}

        return run

    modules = [script("m"), after("a"), after("b"), after("c", "@a"), after("d", ai=True)]
    resolution = Resolution({"m": publishes(m=1)} | {name: look(name) for name in "abcd"})
    this_turn = turn("@m@a@b@c@d", *modules, states={"a": {"a": "old"}})
    before = await resolution.before(this_turn)
    await resolution.after(this_turn, changes=before.state_changes)
    assert seen == {
        "a": {"a": "old", "m": 1},
        "b": {"a": "old", "m": 1},
        "c": {"a": "new", "m": 1},
        "d": {"a": "new", "b": "new", "c": "new", "m": 1},
    }


async def test_a_take_over_goes_on_from_what_was_committed() -> None:
    """What the rest sees is the same as if nothing had happened."""
    seen: list[dict[str, Any]] = []

    async def look(inputs: ScriptInputs) -> dict[str, Any]:
        seen.append({**inputs.visible})
        return {}

    modules = [after("a"), after("b", ai=True)]
    resolution = Resolution({"a": publishes(x="new"), "b": look})
    this_turn = turn("@a@b", *modules, states={"a": {"x": "old"}})
    outcomes = await resolution.after(this_turn)
    committed = outcomes[0].change
    assert committed is not None
    await resolution.after(this_turn, changes=[committed], done={module_id("a")})
    assert seen == [{"x": "new"}, {"x": "new"}]
    assert resolution.runner.started == ["a", "b", "b"]


async def test_a_failure_keeps_the_last_good_state_and_the_others() -> None:
    modules = [after("a"), after("b"), after("c", "@a")]
    resolution = Resolution({"a": fails("why"), "b": publishes(), "c": publishes()})
    outcomes = await resolution.after(turn("@a@b@c", *modules, states={"a": {"x": 1}}))
    assert [(one.module_name, one.change is None) for one in outcomes] == [
        ("a", True),
        ("b", False),
        ("c", False),
    ]
    (warning,) = resolution.warned
    assert outcomes[0].warnings == (warning,)
    assert (warning.warning_type, warning.stage) == (WarningType.EXECUTION_ERROR, 4)
    assert outcomes[0].trace.variables == {"x": 1}
    assert outcomes[0].trace.error is not None
    assert outcomes[0].trace.error.message == "why"


async def test_what_was_said_before_the_answer_is_not_said_again_after_it() -> None:
    modules = [after("p", "@p @nobody")]
    resolution = Resolution({"p": publishes()})
    this_turn = turn("@p", *modules)
    before = await resolution.before(this_turn)
    told = list(resolution.warned)
    assert len(told) == 2
    outcomes = resolution.resolver.execute_post_response_stages(this_turn, "", {}, before.prompt_state)
    assert [outcome.module_name async for outcome in outcomes] == ["p"]
    assert resolution.warned == told


async def test_a_trigger_that_takes_too_long_after_the_answer_is_warned_of() -> None:
    resolution = Resolution({"p": publishes()}, trigger_timeout=0.005)
    assert await resolution.after(turn("@p", after("p", trigger_pattern="(a|aa)+$")), "a" * 60 + "b") == []
    assert resolution.warning_types == [("p", "trigger_timeout")]
    assert resolution.warned[0].stage == 4


async def test_stages_are_told_when_they_have_modules() -> None:
    resolution = Resolution({"p": publishes()})
    await resolution.after(turn("@p", after("p", ai=True)))
    assert [(one.stage, one.state, one.label, one.modules) for one in resolution.stages if one.stage > 2] == [
        (5, "started", "thinking_after", ("p",)),
        (5, "finished", "thinking_after", ("p",)),
    ]


async def test_the_next_turn_shows_what_was_stored() -> None:
    module = after("memory", "Memory: ${summary}", fallback="none yet")
    resolution = Resolution({"memory": publishes(summary="they met")})
    first = turn("@memory", module)
    assert await resolution.text(first) == "none yet"
    (outcome,) = await resolution.after(first)
    assert outcome.change is not None
    second = turn("@memory", module, states={"memory": outcome.change.variables})
    assert await resolution.text(second) == "Memory: they met"
