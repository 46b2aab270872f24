"""Circles and depth are found before anything runs, and cost nothing but the reference at fault."""

from __future__ import annotations

import pytest

from tests.unit.chat.modules.turns import Resolution, after, on_demand, publishes, script, simple, turn
from workers.chat.modules.module import Module, TurnModules
from workers.chat.modules.resolver.dependency_graph import DependencyGraph
from workers.chat.modules.resolver.result_models import WarningType


def graph(turn: TurnModules, max_depth: int = 10) -> DependencyGraph:
    return DependencyGraph(turn, {}, max_depth)


def test_dependencies_come_first_then_priority_then_name() -> None:
    modules = [
        simple("z", priority=1),
        simple("a", "@z @y"),
        simple("y", priority=500),
        simple("c", priority=50),
        simple("b", priority=50),
        simple("unreached", priority=0),
    ]
    assert graph(turn("@a @b @c", *modules)).order == ["unreached", "z", "b", "c", "y", "a"]


def test_the_order_does_not_depend_on_how_modules_are_given() -> None:
    modules = [simple("a", "@b"), simple("b"), simple("c", "@b @a"), simple("d")]
    orders = {
        tuple(graph(turn(template, *given)).order)
        for given in (modules, modules[::-1])
        for template in ("@a @b @c @d", "@d @c @b @a")
    }
    assert orders == {("b", "a", "c", "d")}


@pytest.mark.parametrize(
    ("template", "contents", "text", "path"),
    [
        ("@a", {"a": "A(@a)"}, "A(<a>)", "a > a"),
        ("@a", {"a": "A(@b)", "b": "B(@a)"}, "A(B(<a>))", "a > b > a"),
        ("@b", {"a": "A(@b)", "b": "B(@a)"}, "B(A(<b>))", "b > a > b"),
        (
            "@x",
            {"x": "X(@a)", "a": "A(@b)", "b": "(@c)(@d)", "c": "C(@a)", "d": "D"},
            "X(A((C(<a>))(D)))",
            "a > b > c > a",
        ),
    ],
)
async def test_a_circle_is_reported_with_its_path(
    template: str, contents: dict[str, str], text: str, path: str
) -> None:
    modules = [simple(name, content, fallback=f"<{name}>") for name, content in contents.items()]
    resolution = Resolution()
    assert await resolution.text(turn(template, *modules)) == text
    (warning,) = resolution.warned
    assert warning.warning_type is WarningType.CIRCULAR_DEPENDENCY
    assert f"circle: {path}." in warning.message
    assert warning.stage == 1


async def test_a_circle_of_scripts_runs_each_of_them_once() -> None:
    modules = [script("a", "A(@b)"), script("b", "B(@a)"), script("c", "C")]
    resolution = Resolution({name: publishes() for name in "abc"})
    assert await resolution.text(turn("@a@b@c", *modules)) == "A(B())B()C"
    assert sorted(resolution.runner.started) == ["a", "b", "c"]


async def test_nothing_runs_before_circles_are_known() -> None:
    resolution = Resolution()
    seen: list[list[str]] = []

    async def look(_: object) -> dict[str, object]:
        seen.append([warning.warning_type.value for warning in resolution.warned])
        return {}

    resolution.runner.scripts = {"a": look}
    await resolution.before(turn("@a@b", script("a"), simple("b", "@b")))
    assert seen == [["circular_dependency"]]


async def test_a_module_whose_trigger_does_not_hold_closes_no_circle() -> None:
    modules = [simple("a", "A(@b)"), simple("b", "B(@a)", trigger_pattern="never", fallback="-")]
    resolution = Resolution()
    assert await resolution.text(turn("@a", *modules)) == "A(-)"
    assert resolution.warned == []


def chain(length: int) -> list[Module]:
    modules = [simple(f"m{at}", f"{at} @m{at + 1}", fallback="-") for at in range(1, length)]
    return [*modules, simple(f"m{length}", f"{length}", fallback="-")]


@pytest.mark.parametrize(("length", "text"), [(10, "1 2 3 4 5 6 7 8 9 10"), (11, "1 2 3 4 5 6 7 8 9 10 -")])
async def test_contents_nest_ten_deep(length: int, text: str) -> None:
    modules = chain(length)
    if length == 11:
        modules[9] = simple("m10", "10 @m11")
    resolution = Resolution()
    assert await resolution.text(turn("@m1", *modules)) == text
    assert len(resolution.warned) == length - 10
    for warning in resolution.warned:
        assert warning.warning_type is WarningType.MAX_DEPTH_EXCEEDED
        assert " > ".join(f"m{at}" for at in range(1, 12)) in warning.message


async def test_the_longest_way_counts_and_only_the_reference_at_fault_suffers() -> None:
    modules = [
        simple("a", "A(@b)(@c)"),
        simple("b", "B(@c)"),
        simple("c", "C(@d)", fallback="-"),
        simple("d", "D", fallback="-"),
    ]
    resolution = Resolution(max_depth=3)
    assert await resolution.text(turn("@c @a @d", *modules)) == "C(-) A(B(C(-)))(C(-)) D"
    (warning,) = resolution.warned
    assert "a > b > c > d" in warning.message


def test_a_very_long_chain_does_not_exhaust_the_stack() -> None:
    found = graph(turn("@m1", *chain(5000)))
    assert [warning.warning_type for warning in found.warnings] == [WarningType.MAX_DEPTH_EXCEEDED]


def test_what_a_content_shows_is_reached_and_live() -> None:
    modules = [
        simple("a", "@b @p"),
        script("b"),
        after("p", "@behind"),
        simple("behind"),
        simple("alone"),
        on_demand("d"),
        script("caller", calls=("called",)),
        simple("called"),
    ]
    found = graph(turn("@a @d @caller", *modules))
    assert {name for name, node in found.nodes.items() if node.reached} == {"a", "b", "p", "behind", "caller"}
    assert {name for name, node in found.nodes.items() if node.live} == {"a", "b", "p", "caller"}
    assert found.skipped == {"d": "not_requested"}
    stored = graph(turn("@a", *modules, states={"p": {}}))
    assert stored.nodes["behind"].live


def test_a_script_that_may_run_one_with_a_model_belongs_to_stage_2() -> None:
    modules = [script("a", calls=("b",)), script("b", calls=("c",)), script("c", ai=True), script("d")]
    found = graph(turn("@a @d", *modules))
    assert {name: found.nodes[name].stage for name in "abcd"} == {"a": 2, "b": 2, "c": 2, "d": 1}


async def test_a_circle_of_calls_is_found_before_anything_runs() -> None:
    modules = [script("a", calls=("b",)), script("b", "@a")]
    found = graph(turn("@a", *modules))
    assert [warning.warning_type for warning in found.warnings] == [WarningType.CIRCULAR_DEPENDENCY]
    assert "a > b > a" in found.warnings[0].message
