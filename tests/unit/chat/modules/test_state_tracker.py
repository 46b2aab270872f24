"""What a module sees is settled by its stage and its dependencies."""

from __future__ import annotations

from tests.unit.chat.modules.turns import Resolution, module_id, publishes, script, simple, turn
from workers.chat.modules.resolver.result_models import StateChange
from workers.chat.modules.resolver.state_tracker import StateTracker
from workers.chat.modules.runner import ScriptInputs


def test_a_stage_begins_with_all_variables_merged_in_order() -> None:
    modules = [script("a"), script("b"), script("c")]
    tracker = StateTracker(turn("", *modules, states={"a": {"x": 1, "a": 1}, "b": {"x": 2}}))
    tracker.begin_stage(["a", "b", "c"])
    assert tracker.visible([]) == {"x": 2, "a": 1}
    tracker.begin_stage(["b", "a", "c"])
    assert tracker.visible([]) == {"x": 1, "a": 1}


def test_a_write_is_seen_by_dependents_and_in_the_next_stage_only() -> None:
    modules = [script("a"), script("b")]
    tracker = StateTracker(turn("", *modules, states={"a": {"x": 1}}))
    tracker.begin_stage(["a", "b"])
    tracker.apply(modules[0], 1, {"x": 2})
    assert tracker.visible([]) == {"x": 1}
    assert tracker.visible(["a"]) == {"x": 2}
    tracker.begin_stage(["a", "b"])
    assert tracker.visible([]) == {"x": 2}


def test_dependencies_go_over_strangers() -> None:
    modules = [script("a"), script("b")]
    tracker = StateTracker(turn("", *modules, states={"b": {"x": "stranger"}}))
    tracker.begin_stage(["a", "b"])
    tracker.apply(modules[0], 1, {"x": "dependency"})
    assert tracker.visible(["a"])["x"] == "dependency"
    assert tracker.visible([])["x"] == "stranger"


def test_what_the_turn_left_goes_over_what_was_stored() -> None:
    modules = [script("a")]
    change = StateChange(module_id("a"), "a", "conversation", 1, {"x": 2})
    tracker = StateTracker(turn("", *modules, states={"a": {"x": 1, "y": 1}}), [change])
    assert tracker.own("a") == {"x": 2}
    assert tracker.has_run("a")


def test_states_and_changes_of_modules_that_are_gone_are_left_alone() -> None:
    gone = StateChange(module_id("gone"), "gone", "conversation", 1, {"x": 2})
    tracker = StateTracker(turn("", script("a"), states={"gone": {"x": 1}}), [gone])
    tracker.begin_stage(["a"])
    assert tracker.visible([]) == {}


def test_what_is_visible_cannot_be_changed_for_others() -> None:
    tracker = StateTracker(turn("", script("a"), states={"a": {"x": 1}}))
    tracker.begin_stage(["a"])
    assert not hasattr(tracker.visible([]), "__setitem__")
    assert not hasattr(tracker.visible(["a"]), "__setitem__")


async def test_modules_of_a_stage_do_not_see_one_another_unless_they_depend() -> None:
    seen: dict[str, object] = {}

    def look(name: str) -> object:
        async def run(inputs: ScriptInputs) -> dict[str, object]:
            seen[name] = dict(inputs.visible)
            return {name: "new"}

        return run

    modules = [
        script("a"),
        script("b"),
        script("c", "@through"),
        simple("through", "@a"),
        script("d", ai=True),
    ]
    resolution = Resolution({name: look(name) for name in "abcd"})  # type: ignore[misc]
    await resolution.before(turn("@a@b@c@d", *modules, states={"a": {"a": "old"}}))
    assert seen == {
        "a": {"a": "old"},
        "b": {"a": "old"},
        "c": {"a": "new"},
        "d": {"a": "new", "b": "new", "c": "new"},
    }


async def test_changes_come_in_the_stated_order() -> None:
    modules = [script("z", priority=1), script("a", "@m"), script("m"), script("ai", ai=True, priority=0)]
    resolution = Resolution({name: publishes() for name in ("z", "a", "m", "ai")})
    resolved = await resolution.before(turn("@a@ai@z", *modules))
    assert [change.module_name for change in resolved.state_changes] == ["z", "m", "a", "ai"]
