"""Whatever modules a turn has: resolution ends, is the same whoever is finished first, and runs each once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.chat.modules.turns import Resolution, module_id, script, simple, turn
from workers.chat.modules.module import ExecutionContext, Module, ModuleState, TurnModules
from workers.chat.modules.resolver.result_models import ResolvedTemplate
from workers.chat.modules.runner import ModuleCallError, ScriptInputs
from workers.chat.modules.testing import Script

NAMES = [f"m{at}" for at in range(8)]
CONTEXTS: list[ExecutionContext] = [
    "IMMEDIATE",
    "IMMEDIATE",
    "IMMEDIATE",
    "POST_RESPONSE",
    "ON_DEMAND",
    "ON_DEMAND",
]
WORDS = ["x", "y", "stage", "module_name", "last_user_message"]

contents = st.lists(
    st.sampled_from(NAMES).map("@{} ".format)
    | st.sampled_from(WORDS).map("${{{}}}".format)
    | st.sampled_from(["text", r"\@m1", "a@m1", "@nobody ", "", "\n"]),
    max_size=5,
).map("".join)
values = st.text("@m1${x}\\ ", max_size=8) | st.integers(0, 9)


@dataclass(frozen=True)
class World:
    """A turn, and what its scripts do.

    Attributes:
        fails: modules whose scripts fail.
        published: what the others publish, beside what they have seen.
        delays: for each of two runs and each module, how many times it lets the others go first.
    """

    turn: TurnModules
    fails: frozenset[str]
    published: dict[str, dict[str, Any]]
    delays: tuple[dict[str, int], dict[str, int]]

    def script(self, name: str, delay: int) -> Script:
        async def run(inputs: ScriptInputs) -> dict[str, Any]:
            for _ in range(delay):
                await asyncio.sleep(0)
            gave = []
            for other in self.turn.modules[name].module_names:
                try:
                    called = await inputs.run_module(other)
                    gave.append([called.text, called.variables])
                except ModuleCallError as error:
                    gave.append([error.type, error.message])
            for _ in range(delay):
                await asyncio.sleep(0)
            if name in self.fails:
                raise ValueError("fails")
            seen = json.dumps([dict(sorted(inputs.visible.items())), inputs.own, gave], sort_keys=True)
            return {**self.published[name], f"seen_{name}": str(hash(seen)), "nesting": inputs.nesting}

        return run

    def resolution(self, which: int) -> Resolution:
        return Resolution({name: self.script(name, self.delays[which][name]) for name in NAMES})


@st.composite
def worlds(draw: st.DrawFn) -> World:
    modules: list[Module] = []
    for name in NAMES:
        modules.append(
            Module(
                id=module_id(name),
                name=name,
                type=draw(st.sampled_from(["advanced"] * 5 + ["simple"])),
                content=draw(contents),
                script="…",
                execution_context=draw(st.sampled_from(CONTEXTS)),
                trigger_pattern=draw(st.sampled_from([None, None, None, None, "hi", "never"])),
                priority=draw(st.sampled_from([1, 100, 200])),
                fallback=draw(st.sampled_from([None, "<none>"])),
                requires_ai_inference=draw(st.sampled_from([False, False, False, True])),
                module_names=tuple(draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True))),
                is_active=draw(st.sampled_from([True] * 7 + [False])),
            )
        )
    delay = st.fixed_dictionaries({name: st.integers(0, 6) for name in NAMES})
    return World(
        TurnModules(
            template=draw(st.permutations(NAMES).map(" @".join)) + draw(contents),
            modules={module.name: module for module in modules},
            states={
                module_id(name): ModuleState(variables)
                for name, variables in draw(
                    st.dictionaries(st.sampled_from(NAMES), st.dictionaries(st.sampled_from("xy"), values))
                ).items()
            },
            user_message="hi @m1 ${x}",
            requested=draw(st.frozensets(st.sampled_from(NAMES), max_size=2)),
        ),
        draw(st.frozensets(st.sampled_from(NAMES), max_size=2)),
        draw(st.fixed_dictionaries({name: st.dictionaries(st.sampled_from("xy"), values) for name in NAMES})),
        (draw(delay), draw(delay)),
    )


async def whole_turn(world: World, resolution: Resolution) -> tuple[ResolvedTemplate, list[Any]]:
    async with asyncio.timeout(20):
        before = await resolution.before(world.turn)
        outcomes = [
            outcome
            async for outcome in resolution.resolver.execute_post_response_stages(
                world.turn, "hi there", {}, before.prompt_state, before.state_changes
            )
        ]
    return before, outcomes


def told(before: ResolvedTemplate, outcomes: Sequence[Any]) -> Any:
    """All of a turn but how long it took."""
    stages = [stage.model_dump() for stage in before.stages]
    for stage in stages:
        stage["duration_ms"] = 0
        for module in stage["modules"]:
            module["duration_ms"] = 0
    after = [
        (one.module_name, one.stage, one.change, one.warnings, one.trace.model_dump(exclude={"duration_ms"}))
        for one in outcomes
    ]
    return (
        before.resolved_template,
        before.prompt_state.get_all_stages(),
        before.state_changes,
        before.warnings,
        stages,
        after,
    )


@settings(max_examples=80, deadline=None)
@given(worlds())
async def test_the_result_does_not_depend_on_who_is_finished_first(world: World) -> None:
    first = await whole_turn(world, world.resolution(0))
    second = await whole_turn(world, world.resolution(1))
    assert told(*first) == told(*second)


@settings(max_examples=40, deadline=None)
@given(worlds())
async def test_each_module_runs_at_most_once_a_turn(world: World) -> None:
    resolution = world.resolution(0)
    before, outcomes = await whole_turn(world, resolution)
    good = [name for name in resolution.runner.started if name not in world.fails]
    assert len(good) == len(set(good))
    # A module that failed before the answer, run by name only, has left nothing that says so.
    assert all(resolution.runner.started.count(name) <= 2 for name in world.fails)
    left = [change.module_name for change in before.state_changes]
    left += [outcome.module_name for outcome in outcomes if outcome.change is not None]
    assert sorted(left) == sorted(good)
    assert not asyncio.all_tasks() - {asyncio.current_task()}


@settings(max_examples=25, deadline=None)
@given(worlds())
async def test_nothing_runs_that_is_switched_off_or_in_the_wrong_half(world: World) -> None:
    resolution = world.resolution(0)
    before = await resolution.before(world.turn)
    modules = world.turn.modules
    for name in resolution.runner.started:
        assert modules[name].type == "advanced"
        assert modules[name].is_active
        assert not modules[name].runs_after_answer
    assert {trace.name for trace in before.modules} <= set(NAMES)
    assert all(trace.output_text is not None for trace in before.modules)


@settings(max_examples=25, deadline=None)
@given(worlds())
async def test_variables_of_failed_modules_stay_as_they_were(world: World) -> None:
    before, outcomes = await whole_turn(world, world.resolution(0))
    changed = {change.module_name for change in before.state_changes}
    changed |= {outcome.module_name for outcome in outcomes if outcome.change is not None}
    assert not changed & world.fails


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), st.data())
async def test_produced_text_is_inserted_verbatim(text: str, data: st.DataObject) -> None:
    """By whichever way it comes, and however deep."""
    around = data.draw(st.integers(0, 8))
    way = data.draw(st.sampled_from(["fresh", "bare", "stored", "user", "content"]))
    modules = [simple(f"wrap{at}", f"[@wrap{at + 1}]") for at in range(around)]
    last = f"wrap{around}"
    fields: dict[str, Any] = {"user_message": "", "states": {}}
    resolution = Resolution()
    if way in ("fresh", "bare"):

        async def run(_: ScriptInputs) -> dict[str, Any]:
            return {"x": text}

        modules.append(script(last, "${x}" if way == "fresh" else ""))
        resolution.runner.scripts[last] = run
    elif way == "stored":
        modules.append(script(last, "${x}", execution_context="POST_RESPONSE"))
        fields["states"] = {last: {"x": text}}
    elif way == "user":
        modules.append(simple(last, "${last_user_message}"))
        fields["user_message"] = text
    else:
        text = text.replace("@", "").replace("$", "")
        modules.append(simple(last, text))
    resolved = await resolution.text(turn("<@wrap0>", *modules, simple("m1", "wrong"), **fields))
    assert resolved == f"<{'[' * around}{text}{']' * around}>"
