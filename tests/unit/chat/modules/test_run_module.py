"""``ctx.run_module``: another module's result, once a turn, never in a circle, never too deep."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.chat.modules.turns import (
    Resolution,
    after,
    fails,
    on_demand,
    publishes,
    script,
    simple,
    turn,
)
from workers.chat.modules.resolver.result_models import StateChange
from workers.chat.modules.runner import CalledModule, ModuleCallError, ScriptInputs
from workers.chat.modules.testing import Script


def calls(*names: str, **own: Any) -> Script:
    """A script that runs others, and publishes what they gave, or the errors."""

    async def run(inputs: ScriptInputs) -> dict[str, Any]:
        results: dict[str, Any] = dict(own)
        for name in names:
            try:
                called = await inputs.run_module(name)
            except ModuleCallError as error:
                results[name] = f"{error.type}: {error.message}"
            else:
                results[name] = {"text": called.text, "variables": called.variables}
        return results

    return run


async def test_a_module_that_is_run_gives_its_text_and_variables() -> None:
    modules = [
        script("a", "${d}", calls=("d",)),
        on_demand("d", "D ${x} @e"),
        on_demand("e", "E"),
        simple("s", "S"),
    ]
    resolution = Resolution({"a": calls("d"), "d": publishes(x=1), "e": publishes()})
    resolved = await resolution.before(turn("@a", *modules, states={"d": {"old": 0}}))
    assert resolved.resolved_template == '{"text": "D 1 E", "variables": {"x": 1}}'
    assert sorted(resolution.runner.started) == ["a", "d", "e"]
    assert [(one.module_name, one.variables) for one in resolved.state_changes][:2] == [
        ("e", {}),
        ("d", {"old": 0, "x": 1}),
    ]
    assert {one.name: one.called_by for one in resolved.modules} == {"e": "d", "d": "a", "a": None}
    assert {name: given.nesting for name, given in resolution.runner.inputs.items()} == {
        "a": 0,
        "d": 1,
        "e": 1,
    }


async def test_a_text_module_may_be_run_too() -> None:
    modules = [script("a", "${s}", calls=("s",)), simple("s", "S(@d)"), on_demand("d", "D")]
    resolution = Resolution({"a": calls("s"), "d": publishes()})
    assert await resolution.text(turn("@a", *modules)) == '{"text": "S(D)", "variables": {}}'


async def test_it_runs_once_whoever_calls_it() -> None:
    modules = [
        script("a", "@d ${d}", calls=("d",)),
        script("b", "${d}", calls=("d",)),
        script("c", "${d}", calls=("d",), ai=True),
        on_demand("d", "D"),
    ]
    resolution = Resolution({"a": calls("d", "d"), "b": calls("d"), "c": calls("d"), "d": publishes()})
    given = '{"text": "D", "variables": {}}'
    assert await resolution.text(turn("@a @b @c", *modules)) == f"D {given} {given} {given}"
    assert sorted(resolution.runner.started) == ["a", "b", "c", "d"]


async def test_its_trigger_does_not_matter_when_it_is_run_by_name() -> None:
    modules = [script("a", "${d}", calls=("d",)), on_demand("d", "D", trigger_pattern="never")]
    resolution = Resolution({"a": calls("d"), "d": publishes()})
    assert '"D"' in await resolution.text(turn("@a", *modules))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nobody", "LookupError: run_module: there is no module 'nobody'."),
        ("off", "LookupError: run_module: there is no active module 'off'."),
        ("later", "RuntimeError: run_module: later is POST_RESPONSE and cannot run before the answer."),
        ("bad", "RuntimeError: run_module: bad did not succeed in line 1: ValueError: no luck"),
        ("a", "RecursionError: run_module: modules run each other in a circle: a > a."),
    ],
)
@pytest.mark.parametrize("literal", [True, False])
async def test_what_cannot_be_run_is_an_error_that_a_script_may_catch(
    name: str, told: str, literal: bool
) -> None:
    modules = [
        script("a", f"${{{name}}}", calls=(name,) if literal else ()),
        on_demand("off", is_active=False),
        on_demand("bad"),
        after("later"),
    ]
    resolution = Resolution({"a": calls(name), "bad": fails(), "off": publishes(), "later": publishes()})
    assert await resolution.text(turn("@a", *modules)) == told
    assert "off" not in resolution.runner.started
    assert "later" not in resolution.runner.started


@pytest.mark.parametrize("literal", [True, False])
async def test_calls_nest_three_deep(literal: bool) -> None:
    names = ["a", "b", "c", "d", "e"]
    modules = [
        script(
            name,
            f"${{{below}}}",
            calls=(below,) if literal else (),
            execution_context="IMMEDIATE" if name == "a" else "ON_DEMAND",
        )
        for name, below in zip(names, [*names[1:], "none"], strict=True)
    ]
    scripts = {name: calls(below) for name, below in zip(names, [*names[1:], "none"], strict=True)}
    resolution = Resolution(scripts)
    text = await resolution.text(turn("@a", *modules))
    assert "RecursionError: run_module: modules run one another at most 3 deep: a > b > c > d > e." in text
    assert resolution.runner.started == ["a", "b", "c", "d"]
    assert [resolution.runner.inputs[name].nesting for name in "abcd"] == [0, 1, 2, 3]


@pytest.mark.parametrize("literal", [True, False])
async def test_a_circle_of_calls_ends(literal: bool) -> None:
    modules = [
        script("a", "${b}", calls=("b",) if literal else ()),
        on_demand("b", "${a}", calls=("a",) if literal else ()),
    ]
    resolution = Resolution({"a": calls("b"), "b": calls("a")})
    text = await asyncio.wait_for(resolution.text(turn("@a", *modules)), 5)
    assert "RecursionError" in text
    assert "a > b > a" in text
    assert sorted(resolution.runner.started) == ["a", "b"]


async def test_scripts_that_wait_for_one_another_by_computed_names_do_not_lock_up() -> None:
    """Neither is inside the other: each has run one more, and these call across."""
    modules = [script("a"), script("c"), on_demand("b"), on_demand("d")]
    met = asyncio.Barrier(2)

    def first(name: str) -> Script:
        return calls(name)

    def second(name: str) -> Script:
        async def run(inputs: ScriptInputs) -> dict[str, Any]:
            await met.wait()
            return await calls(name)(inputs)  # type: ignore[return-value]

        return run

    resolution = Resolution({"a": first("b"), "c": first("d"), "b": second("d"), "d": second("b")})
    resolved = await asyncio.wait_for(resolution.before(turn("@a@c", *modules)), 5)
    assert "modules wait for each other" in resolved.resolved_template
    assert sorted(resolution.runner.started) == ["a", "b", "c", "d"]


async def test_a_dependency_that_calls_back_does_not_lock_up() -> None:
    modules = [script("a", "A(@b)"), script("b", "B ${a}")]
    resolution = Resolution({"a": publishes(), "b": calls("a")})
    text = await asyncio.wait_for(resolution.text(turn("@a", *modules)), 5)
    assert text == "A(B RecursionError: run_module: modules wait for each other: b > a > … > b.)"
    assert resolution.runner.started == ["b", "a"]


async def test_a_module_that_nobody_waits_for_any_more_is_ended() -> None:
    """The script that runs another one is stopped by its own limit; the other one does not go on."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(_: ScriptInputs) -> dict[str, Any]:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return {}

    async def stopped(inputs: ScriptInputs) -> dict[str, Any]:
        call = asyncio.ensure_future(inputs.run_module("d"))
        await begun.wait()
        call.cancel()
        await asyncio.wait({call})
        raise TimeoutError("total")

    modules = [script("a", "A", calls=("d",), fallback="-"), on_demand("d")]
    resolution = Resolution({"a": stopped, "d": endless})
    resolved = await asyncio.wait_for(resolution.before(turn("@a", *modules)), 5)
    assert resolved.resolved_template == "-"
    assert ended.is_set()
    assert resolution.runner.cancelled == ["d"]
    assert [one.name for one in resolved.modules] == ["a"]


async def test_another_one_that_waits_keeps_it_running() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: ScriptInputs) -> dict[str, Any]:
        begun.set()
        await go_on.wait()
        return {"x": 1}

    async def stopped(inputs: ScriptInputs) -> dict[str, Any]:
        call = asyncio.ensure_future(inputs.run_module("d"))
        await begun.wait()
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait({call})
        go_on.set()
        return {}

    modules = [script("a", "A", calls=("d",)), script("b", "${d}", calls=("d",)), on_demand("d", "D ${x}")]
    resolution = Resolution({"a": stopped, "b": calls("d"), "d": slow})
    resolved = await asyncio.wait_for(resolution.before(turn("@a @b", *modules)), 5)
    assert '"D 1"' in resolved.resolved_template
    assert sorted(change.module_name for change in resolved.state_changes) == ["a", "b", "d"]


async def test_a_dependency_of_another_keeps_it_running() -> None:
    """A script is stopped while one runs for it that a later one depends on: that one is not stopped."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: ScriptInputs) -> dict[str, Any]:
        begun.set()
        await go_on.wait()
        return {"x": 1}

    async def stopped(inputs: ScriptInputs) -> dict[str, Any]:
        call = asyncio.ensure_future(inputs.run_module("d"))
        await begun.wait()
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait({call})
        go_on.set()
        return {}

    modules = [
        script("a", "A", priority=1),
        script("b", "${e}", calls=("e",)),
        on_demand("e", "E(@d)"),
        on_demand("d", "D ${x}"),
    ]
    resolution = Resolution({"a": stopped, "b": calls("e"), "e": publishes(), "d": slow})
    resolved = await asyncio.wait_for(resolution.before(turn("@a @b", *modules)), 5)
    assert '"E(D 1)"' in resolved.resolved_template


async def test_after_the_answer_a_module_that_ran_before_it_gives_what_it_gave() -> None:
    modules = [
        script("m", "M ${x}"),
        after("p", calls=("m",)),
        on_demand("d", "D ${y}"),
        after("q", calls=("d",)),
    ]
    this_turn = turn("@m @p @q", *modules)
    resolution = Resolution({"m": publishes(x=1), "p": calls("m"), "q": calls("d"), "d": publishes(y=2)})
    before = await resolution.before(this_turn)
    outcomes = [
        outcome
        async for outcome in resolution.resolver.execute_post_response_stages(
            this_turn, "reply", {}, before.prompt_state, before.state_changes
        )
    ]
    assert [outcome.module_name for outcome in outcomes] == ["p", "d", "q"]
    assert outcomes[0].change is not None
    assert outcomes[0].change.variables == {"m": {"text": "M 1", "variables": {"x": 1}}}
    assert outcomes[1].trace.called_by == "q"
    assert resolution.runner.started.count("m") == 1


async def test_after_the_answer_contents_still_show_what_was_stored_before_the_turn() -> None:
    """Else the text would depend on whether the module that it shows has finished meanwhile."""
    ended = asyncio.Event()

    async def last(_: ScriptInputs) -> dict[str, Any]:
        ended.set()
        return {"x": "new"}

    async def caller(inputs: ScriptInputs) -> dict[str, Any]:
        await ended.wait()
        return await calls("m")(inputs)  # type: ignore[return-value]

    modules = [script("m", "${x} (@p)"), after("p", "${x}"), after("q", calls=("m",))]
    resolution = Resolution({"m": publishes(), "p": last, "q": caller})
    this_turn = turn("@m @q", *modules, states={"p": {"x": "old"}})
    before = await resolution.before(this_turn)
    assert before.resolved_template == "old (old) "
    outcomes = await asyncio.wait_for(resolution.after(this_turn, changes=before.state_changes), 5)
    change = next(outcome.change for outcome in outcomes if outcome.module_name == "q")
    assert change is not None
    assert change.variables["m"]["text"] == "old (old)"


async def test_after_the_answer_a_module_that_failed_before_it_does_not_run_again() -> None:
    modules = [script("m"), after("p", calls=("m",))]
    resolution = Resolution({"m": fails(), "p": calls("m")})
    (outcome,) = await resolution.after(turn("@m @p", *modules))
    assert outcome.change is not None
    assert outcome.change.variables["m"].startswith(
        "RuntimeError: run_module: m did not succeed in this turn"
    )


async def test_a_call_result_is_a_value_of_its_own() -> None:
    """Whoever changes what it was given changes nothing for others."""

    async def spoil(inputs: ScriptInputs) -> dict[str, Any]:
        called = await inputs.run_module("d")
        called.variables["x"] = "spoiled"
        return {}

    modules = [script("a", calls=("d",)), on_demand("d", "${x}")]
    resolution = Resolution({"a": spoil, "d": publishes(x="good")})
    resolved = await resolution.before(turn("@a", *modules))
    change = next(change for change in resolved.state_changes if change.module_name == "d")
    assert isinstance(change, StateChange)
    assert change.variables == {"x": "good"}
    assert CalledModule("d", "", {}) != CalledModule("e", "", {})
