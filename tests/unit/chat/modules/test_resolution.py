"""Stages 1 and 2: which text stands in the place of every reference."""

from __future__ import annotations

import logging

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
from workers.chat.modules.execution.simple_executor import MAX_TEXT
from workers.chat.modules.resolver.result_models import ModuleWarning, StateChange, WarningType
from workers.chat.modules.runner import ScriptInputs
from workers.sandbox.result import ErrorKind, ScriptError, ScriptExecutionResult


def nested(levels: int) -> list[object]:
    value: list[object] = []
    for _ in range(levels - 1):
        value = [value]
    return value


async def test_a_template_that_is_only_text_is_its_own_prompt() -> None:
    resolved = await Resolution().before(turn("You are kind. Costs: 5 $ \\ {x}", simple("unused", "text")))
    assert resolved.resolved_template == "You are kind. Costs: 5 $ \\ {x}"
    assert resolved.stages == []
    assert resolved.modules == []
    assert resolved.prompt_state.get_prompt_for_stage(4) == resolved.resolved_template
    assert resolved.token_estimate > 0


async def test_references_are_resolved_in_one_another() -> None:
    modules = [simple("a", "A(@b, @c)"), simple("b", "B(@c)"), simple("c", "C")]
    assert await Resolution().text(turn("@a and @c", *modules)) == "A(B(C), C) and C"


async def test_a_name_is_never_the_beginning_of_another() -> None:
    modules = [simple("foo", "F"), simple("foobar", "FB")]
    assert await Resolution().text(turn(r"@foo @foobar @foo_bar \@foo x@foo.org @foo.", *modules)) == (
        "F FB @foo_bar @foo x@foo.org F."
    )


@pytest.mark.parametrize("produced", ["@foo", "${secret}", r"\@foo", "@foo ${x} @b", "😀\n @", "${x}"])
async def test_what_was_produced_is_inserted_as_it_is(produced: str) -> None:
    """By a script, a stored variable, an implicit value, or the user: none of it is read as a template."""
    modules = [
        simple("foo", "must not appear"),
        script("fresh", "[${x}]"),
        after("stored", "[${x}]"),
        simple("user", "[${last_user_message}]"),
        simple("given", "[${title}]"),
        script("bare"),
    ]
    resolution = Resolution({"fresh": publishes(x=produced, secret="s"), "bare": publishes(x=produced)})
    text = await resolution.text(
        turn(
            "@fresh@stored@user@given@bare",
            *modules,
            states={"stored": {"x": produced, "secret": "s"}},
            user_message=produced,
            implicit={"title": produced},
        )
    )
    assert text == f"[{produced}]" * 4 + produced


async def test_the_text_of_a_module_is_not_read_again_where_it_is_put_in() -> None:
    """An escape that has become @ does not begin a reference with what stands behind it."""
    modules = [simple("at", r"\@"), simple("foo", "must not appear"), simple("dollar", "$")]
    assert await Resolution().text(turn("@at@dollar{x}", *modules)) == "@${x}"
    assert await Resolution().text(turn("@at", simple("at", r"\@foo"), modules[1])) == "@foo"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("text", "text"),
        ("", ""),
        (3, "3"),
        (0.5, "0.5"),
        (True, "true"),
        (None, "null"),
        (["a", 1], '["a", 1]'),
        ({"é": "ü"}, '{"é": "ü"}'),
    ],
)
async def test_values_are_shown_as_text_or_json(value: object, shown: str) -> None:
    assert await Resolution({"m": publishes(x=value)}).text(turn("@m", script("m", "${x}"))) == shown


async def test_a_modules_own_variables_come_before_implicit_and_visible_ones() -> None:
    modules = [
        script("base", "", priority=1),
        script("m", "${stage} ${module_name} ${other} ${shared} @base"),
    ]
    resolution = Resolution(
        {"base": publishes(other="of base", shared="of base", stage="of base"), "m": publishes(shared="mine")}
    )
    text = await resolution.text(turn("@m", *modules))
    assert text.startswith("1 m of base mine ")


async def test_implicit_values_stand_in_contents_and_templates() -> None:
    content = "${module_name} ${module_id} ${stage} ${stage_name} ${last_user_message} ${conversation_id}"
    text = await Resolution().text(
        turn(
            "@m | ${stage} ${stage_name} ${last_user_message} ${conversation_id} ${ai_response}",
            simple("m", content),
            user_message="hi",
            implicit={"conversation_id": "c1"},
        )
    )
    assert text == (
        f"m {module_id('m')} 1 template_preparation hi c1 | 1 template_preparation hi c1 ${{ai_response}}"
    )


async def test_a_template_shows_the_variables_of_its_modules() -> None:
    modules = [script("mood", ""), script("deep", "", ai=True)]
    resolution = Resolution({"mood": publishes(mood="glad"), "deep": publishes(thought="deep")})
    assert await resolution.text(turn("@mood ${mood} ${thought} ${nothing}@deep", *modules)) == (
        "glad glad deep ${nothing}deep"
    )


async def test_without_content_a_script_shows_its_values_a_line_each() -> None:
    resolution = Resolution({"m": publishes(one="first", two=2)})
    assert await resolution.text(turn("@m", script("m"))) == "first\n2"


async def test_an_unknown_name_stays_and_is_warned_of_once_with_its_place() -> None:
    resolution = Resolution()
    text = await resolution.text(turn("\n @nobody @nobody ${x}@a", simple("a", "@nobody")))
    assert text == "\n @nobody @nobody ${x}@nobody"
    (warning,) = resolution.warned
    assert warning.warning_type is WarningType.MODULE_NOT_FOUND
    assert "nobody, which the persona's template refers to in line 2, column 2" in warning.message


async def test_a_switched_off_module_gives_its_fallback() -> None:
    modules = [simple("off", "text @gone", is_active=False, fallback="-"), script("s", is_active=False)]
    resolution = Resolution({"s": publishes(x=1)})
    resolved = await resolution.before(turn("[@off][@s]", *modules))
    assert resolved.resolved_template == "[-][]"
    assert resolution.runner.started == []
    assert resolution.warned == []
    assert [(one.name, one.skipped) for one in resolved.modules] == [("off", "inactive"), ("s", "inactive")]


@pytest.mark.parametrize("kind", [simple, script])
async def test_a_trigger_that_does_not_hold_leaves_the_fallback(kind: type) -> None:
    one = kind("m", "text @below", trigger_pattern="rain", fallback="dry")
    modules = [one, script("below", "below")]
    for said, text, ran in [("it rains", "text below", 1), ("sun", "dry", 0)]:
        resolution = Resolution({"m": publishes(), "below": publishes()})
        assert await resolution.text(turn("@m", *modules, user_message=said)) == text
        assert resolution.runner.started.count("below") == ran, (
            "a module that only it refers to is not reached"
        )


async def test_a_script_learns_what_triggered_it() -> None:
    resolution = Resolution({"m": publishes()})
    await resolution.before(turn("@m", script("m", trigger_pattern=r"r\w+n"), user_message="Rain!"))
    assert resolution.runner.inputs["m"].attributes["trigger_data"] == {
        "pattern": r"r\w+n",
        "match": "Rain",
        "source": "user_message",
    }


async def test_bad_triggers_are_warned_of() -> None:
    modules = [
        simple("slow", "s", trigger_pattern="(a|aa)+$"),
        simple("bad", "b", trigger_pattern="a("),
        simple("unused", "u", trigger_pattern="b("),
    ]
    resolution = Resolution(trigger_timeout=0.005)
    assert await resolution.text(turn("[@slow][@bad]", *modules, user_message="a" * 60 + "A(")) == "[][b]"
    assert resolution.warning_types == [("slow", "trigger_timeout"), ("bad", "invalid_trigger")]


async def test_on_demand_modules_run_when_they_are_named() -> None:
    demand = on_demand("d", "D", fallback="-")
    for template, modules, requested, text, runs in [
        ("@d", [demand], (), "-", 0),
        ("@d", [demand], ("d",), "D", 1),
        ("@a", [demand, simple("a", "(@d)")], (), "(D)", 1),
        ("@d @a", [demand, simple("a", "(@d)")], (), "D (D)", 1),
        ("nothing", [demand], ("d",), "nothing", 1),
    ]:
        resolution = Resolution({"d": publishes(x=1)})
        resolved = await resolution.before(turn(template, *modules, requested=frozenset(requested)))
        assert (resolved.resolved_template, len(resolution.runner.started)) == (text, runs)
        assert len(resolved.state_changes) == runs


async def test_the_client_is_told_which_of_its_names_cannot_be_run() -> None:
    resolution = Resolution({"now": publishes()})
    modules = [script("now"), on_demand("off", is_active=False)]
    await resolution.before(turn("", *modules, requested=frozenset({"now", "nobody", "off"})))
    assert resolution.warning_types == [("nobody", "module_not_found"), ("now", "not_on_demand")]
    assert resolution.runner.started == []


async def test_the_clients_wish_goes_over_the_trigger() -> None:
    resolution = Resolution({"d": publishes()})
    demand = on_demand("d", "D", trigger_pattern="never")
    assert await resolution.text(turn("@d", demand, requested=frozenset({"d"}))) == "D"


async def test_modules_that_run_after_the_answer_show_what_they_stored() -> None:
    modules = [
        after("p", "P ${x} @s", fallback="new"),
        simple("s", "S"),
        after("never", "N @only", fallback="-"),
    ]
    modules.append(script("only"))
    resolution = Resolution({"only": publishes()})
    resolved = await resolution.before(turn("@p|@never", *modules, states={"p": {"x": 1}}))
    assert resolved.resolved_template == "P 1 S|-"
    assert resolution.runner.started == [], "what only an unshown content refers to is not needed"
    assert {one.name: one.skipped for one in resolved.modules} == {
        "p": "stored",
        "s": None,
        "never": "no_state",
    }
    assert resolved.state_changes == []


async def test_what_needs_a_model_runs_in_stage_2_with_all_that_depends_on_it() -> None:
    modules = [
        script("ai", "AI", ai=True),
        script("above", "(@ai)"),
        simple("text", "[@above @plain]"),
        simple("plain", "plain"),
        script("first", "1"),
    ]
    resolution = Resolution({name: publishes() for name in ("ai", "above", "first")})
    resolved = await resolution.before(turn("@text @first @above", *modules))
    assert resolved.resolved_template == "[(AI) plain] 1 (AI)"
    assert {name: given.stage for name, given in resolution.runner.inputs.items()} == {
        "first": 1,
        "ai": 2,
        "above": 2,
    }
    assert resolved.prompt_state.get_all_stages() == {
        0: "@text @first @above",
        1: "[@above plain] 1 @above",
        2: "[(AI) plain] 1 (AI)",
    }
    assert resolution.runner.inputs["ai"].prompt_state.get_prompt_for_stage(2) == "[@above plain] 1 @above"
    assert [(one.stage, one.state, one.modules) for one in resolution.stages] == [
        (1, "started", ("first", "plain")),
        (1, "finished", ("first", "plain")),
        (2, "started", ("ai", "above", "text")),
        (2, "finished", ("ai", "above", "text")),
    ]


async def test_a_module_that_fails_gives_its_fallback_and_keeps_its_state() -> None:
    modules = [script("m", "M ${x}", fallback="sorry"), script("n", "N"), simple("a", "(@m)")]
    resolution = Resolution({"m": fails("secret"), "n": publishes(y=1)})
    resolved = await resolution.before(turn("@a @m @n", *modules, states={"m": {"x": 1}}))
    assert resolved.resolved_template == "(sorry) sorry N"
    assert [change.module_name for change in resolved.state_changes] == ["n"]
    assert (
        resolved.warnings
        == resolution.warned
        == [
            ModuleWarning(
                "m", WarningType.EXECUTION_ERROR, "m did not succeed in line 1: ValueError: secret", 1
            )
        ]
    )
    trace = next(one for one in resolved.modules if one.name == "m")
    assert trace.error is not None
    assert (trace.error.type, trace.error.line, trace.output_text) == ("ValueError", 1, "sorry")
    assert trace.variables == {"x": 1}
    assert trace.warnings == [resolved.warnings[0].traced()]


async def test_a_fault_of_the_service_is_a_module_that_fails_without_telling_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    resolution = Resolution()

    async def broken(*_: object) -> ScriptExecutionResult:
        raise OSError("/inner/host:5432 refused")

    resolution.runner.run = broken  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR):
        assert await resolution.text(turn("[@m]", script("m", "M", fallback="f"))) == "[f]"
    (warning,) = resolution.warned
    assert warning.warning_type is WarningType.PROCESSING_ERROR
    assert "inner" not in warning.message
    assert "/inner/host:5432 refused" in caplog.text


async def test_a_result_without_a_reason_is_a_failure_too() -> None:
    resolution = Resolution()

    async def run(*_: object) -> ScriptExecutionResult:
        return ScriptExecutionResult(success=False, variables={"x": 1})

    resolution.runner.run = run  # type: ignore[method-assign]
    resolved = await resolution.before(turn("[@m]", script("m", "${x}")))
    assert (resolved.resolved_template, resolved.state_changes) == ("[]", [])


async def test_a_limit_is_told_in_its_words() -> None:
    resolution = Resolution()

    async def run(*_: object) -> ScriptExecutionResult:
        return ScriptExecutionResult(
            success=False, variables={}, error=ScriptError(ErrorKind.LIMIT, "cpu", "more than 2 s")
        )

    resolution.runner.run = run  # type: ignore[method-assign]
    await resolution.before(turn("@m", script("m")))
    assert resolution.warned[0].message == "m did not succeed: cpu: more than 2 s"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("a\x00b", "NUL character"),
        (["\ud800"], "half of a surrogate pair (at x.0)"),
        (float("nan"), "NaN"),
        ({"k": nested(65)}, "more than 64 lists or dicts"),
    ],
)
async def test_what_cannot_be_kept_or_sent_is_a_failure_of_the_script(value: object, told: str) -> None:
    resolution = Resolution({"m": publishes(x=value)})
    resolved = await resolution.before(turn("[@m]", script("m", "${x}", fallback="f")))
    assert (resolved.resolved_template, resolved.state_changes) == ("[f]", [])
    assert told in resolution.warned[0].message


async def test_state_grows_by_what_a_run_published() -> None:
    async def count(inputs: ScriptInputs) -> dict[str, object]:
        assert inputs.own == {"n": 1, "kept": True}
        inputs.own["n"] = 99  # a copy: nothing comes of it
        return {"n": 2, "new": "x"}

    resolution = Resolution({"m": count})
    module = script("m", "${n} ${kept} ${new}", state_scope="persona")
    resolved = await resolution.before(turn("@m", module, states={"m": {"n": 1, "kept": True}}))
    assert resolved.resolved_template == "2 true x"
    assert resolved.state_changes == [
        StateChange(module.id, "m", "persona", 1, {"n": 2, "kept": True, "new": "x"})
    ]


async def test_each_module_runs_once_however_often_it_is_referred_to() -> None:
    modules = [script("m", "M"), simple("a", "@m@m"), script("b", "@m", ai=True), simple("c", "@a@b")]
    resolution = Resolution({"m": publishes(), "b": publishes()})
    assert await resolution.text(turn("@m@a@b@c@m", *modules)) == "MMMMMMMM"[:1] + "MM" + "M" + "MMM" + "M"
    assert sorted(resolution.runner.started) == ["b", "m"]


async def test_a_module_without_a_script_text_publishes_nothing() -> None:
    module = script("m", "M")
    resolution = Resolution()
    for empty in (None, "", "  \n"):
        assert (
            await resolution.text(
                turn(
                    "@m",
                    simple("x"),
                    type(module)(id=module.id, name="m", type="advanced", content="M", script=empty),
                )
            )
            == "M"
        )
    assert resolution.runner.started == []


async def test_modules_that_show_one_another_twice_do_not_fill_the_memory() -> None:
    """Ten modules, each showing the next ten times, would be ten thousand million characters."""
    modules = [simple(f"m{depth}", f"@m{depth + 1} " * 10) for depth in range(9)]
    modules.append(simple("m9", "x" * 1000))
    resolution = Resolution()
    text = await resolution.text(turn("@m0", *modules))
    assert len(text) <= MAX_TEXT
    assert {warning.warning_type for warning in resolution.warned} == {WarningType.TEXT_TOO_LONG}
    assert len(resolution.warned) <= 10, "one for each module, not one for each place"


async def test_the_trace_tells_what_each_module_did() -> None:
    modules = [script("m", "M ${x}"), simple("s", "S @m"), on_demand("d", "D", fallback="-")]

    async def run(inputs: ScriptInputs) -> dict[str, object]:
        inputs.tokens.add(10, 2)
        inputs.tokens.add(5, None)
        return {"x": 1}

    resolution = Resolution({"m": run})
    resolved = await resolution.before(turn("@s @d", *modules, states={"m": {"old": True}}))
    (stage,) = resolved.stages
    assert (stage.stage, stage.prompt_before, stage.prompt_after) == (1, "@s @d", "S M 1 -")
    assert stage.duration_ms > 0
    assert resolved.modules == stage.modules
    ran, text, skipped = stage.modules
    assert (ran.name, ran.id, ran.stage) == ("m", str(module_id("m")), 1)
    assert ran.inputs == {"variables": {"old": True}, "trigger": {}}
    assert (ran.outputs, ran.variables) == ({"x": 1}, {"old": True, "x": 1})
    assert (ran.output_text, ran.tokens.input, ran.tokens.output) == ("M 1", 15, 2)
    assert (text.name, text.output_text) == ("s", "S M 1")
    assert (skipped.name, skipped.skipped, skipped.output_text) == ("d", "not_requested", "-")
