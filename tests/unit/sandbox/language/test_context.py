"""`ctx`: values, calls, failures."""

from __future__ import annotations

import pytest

from tests.unit.sandbox.language.conftest import Host, run_here
from workers.sandbox.language import CallFailed, compile_script, run_script
from workers.sandbox.language.running import Fault, Outcome


def test_attributes_and_functions_are_found_by_name(host: Host) -> None:
    source = "a = ctx.stage\nb = ctx.data.x\nc = ctx.data['x']"
    outcome = run_here(source, host=host, stage=4, data={"x": 7})
    assert outcome.variables == {"a": 4, "b": 7, "c": 7}


@pytest.mark.parametrize("call", ["ctx.generate", "await ctx.generate", "generate", "await generate"])
def test_every_way_to_call_a_model_is_the_same_call(host: Host, call: str) -> None:
    outcome = run_here(f"x = {call}('write', (1, 2), temperature=0.5)", host=host)
    assert outcome.variables == {"x": "a text"}
    assert host.calls == [("generate", ["write", [1, 2]], {"temperature": 0.5})]


def test_modules_that_run_one_another_too_deep_are_named() -> None:
    def call(*_: object) -> None:
        raise CallFailed("RecursionError", "run_module: too deep: a > b > a")

    def run(source: str) -> Outcome:
        code = compile_script(source).code
        return run_script(code, call=call, functions=["run_module"], attributes={}, output_limit=1000)

    error = run("ctx.run_module('a')").error
    assert error == Fault("RecursionError", "run_module: too deep: a > b > a", 1)
    caught = "try:\n    ctx.run_module('a')\nexcept RecursionError as error:\n"
    assert run(caught + "    x = str(error)").variables == {"x": "run_module: too deep: a > b > a"}
    assert run(caught + "    x = type(error) is RecursionError").variables == {"x": True}


def test_the_nearest_name_comes_first() -> None:
    code = compile_script("x = ctx.get_recent_mesages()").code
    names = ["get_all_variables", "get_memory_status", "get_recent_memories", "get_recent_messages", "recall"]
    outcome = run_script(code, call=lambda *_: None, functions=names, attributes={}, output_limit=1000)
    assert outcome.error is not None
    assert "did you mean get_recent_messages, get_recent_memories, " in outcome.error.message
    assert "recall" not in outcome.error.message


def test_answers_are_read_by_key_and_by_attribute(host: Host) -> None:
    source = (
        "p = ctx.get_persona_info()\na = p.name\n"
        "b = p['name']\nc = p.tags[0].label\nd = p.get('zip', 'none')\n"
        "e = isinstance(p, dict)\nf = sorted(p.keys())\ng = f'{p.name}'\nh = '{0.name} {0[name]}'.format(p)\n"
        "p['name'] = 'Bo'\ni = p.name\nj = type(p) is dict\n"
    )
    outcome = run_here(source, host=host)
    assert outcome.error is None
    expected = {"a": "Ava", "b": "Ava", "c": "x", "d": "none", "e": True, "f": ["items", "name", "tags"]}
    expected |= {"g": "Ava", "h": "Ava Ava", "i": "Bo", "j": True}
    expected["p"] = {"name": "Bo", "tags": [{"label": "x"}], "items": 3}
    assert outcome.variables == expected


def test_a_failed_generation_can_be_caught_with_its_code(host: Host) -> None:
    source = (
        "try:\n    ctx.busy()\nexcept ctx.GenerationError as error:\n"
        "    code = error.code\n    text = str(error)\n    same = isinstance(error, GenerationError)\n"
    )
    expected = {"code": "provider_timeout", "text": "provider_timeout: nobody answered", "same": True}
    assert run_here(source, host=host).variables == expected


@pytest.mark.parametrize(
    ("name", "type_", "message"),
    [
        ("busy", "GenerationError", "provider_timeout: nobody answered"),
        ("wrong", "ValueError", "limit must be positive"),
        ("odd", "RuntimeError", "odd"),
        ("over", "LimitError", "no more calls"),
        ("nothing", "AttributeError", "ctx has no 'nothing': see the list of plugin functions"),
        ("genrate", "AttributeError", "ctx has no 'genrate': did you mean generate?"),
        (
            "ai_response",
            "AttributeError",
            "ctx has no 'ai_response': it is there after the answer, for modules that are POST_RESPONSE",
        ),
    ],
)
def test_failures_say_what_and_where(host: Host, name: str, type_: str, message: str) -> None:
    outcome = run_here(f"x = 1\nctx.{name}()", host=host)
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.message, outcome.error.line) == (type_, message, 2)


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    ctx.over()\nexcept Exception:\n    pass",
        "try:\n    ctx.over()\nexcept:\n    pass",
        "def f():\n    try:\n        ctx.over()\n    finally:\n        return 1\nf()",
        "for i in range(3):\n    try:\n        ctx.over()\n    finally:\n        continue",
    ],
)
def test_a_limit_of_the_host_cannot_be_caught(host: Host, source: str) -> None:
    outcome = run_here(source, host=host)
    assert outcome.error is not None
    assert outcome.error.type == "LimitError"
    assert outcome.error.limit == "call"
    assert len(host.calls) == 1


def test_what_the_host_raises_beside_exceptions_comes_out() -> None:
    class Ended(BaseException):
        pass

    def call(*_: object) -> None:
        raise Ended

    code = compile_script("def f():\n    try:\n        ctx.a()\n    finally:\n        return 1\nf()").code
    with pytest.raises(Ended):
        run_script(code, call=call, functions=["a"], attributes={}, output_limit=100)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("{1, 2}", "argument 2 holds a set, which is no JSON value: sorted"),
        ("len", "no JSON value"),
        ("float('nan')", "not a finite number"),
        ("ctx", "no JSON value"),
        ("'\\x00'", "NUL"),
    ],
)
def test_only_plain_values_are_sent(host: Host, argument: str, words: str) -> None:
    outcome = run_here(f"ctx.set_variable('a', {argument})", host=host)
    assert outcome.error is not None
    assert outcome.error.type == "TypeError"
    assert words in outcome.error.message
    assert host.calls == []


def test_scripts_may_raise_and_rename_generation_errors(host: Host) -> None:
    source = (
        "try:\n    raise ctx.GenerationError('no', 'mine')\n"
        "except GenerationError as e:\n    x = (e.code, e.message)\n"
    )
    assert run_here(source, host=host).variables == {"x": ["mine", "no"]}


def test_scripts_without_ai_functions_have_no_bare_names() -> None:
    outcome = run_here("generate('x')", host=Host({}))
    assert outcome.error is not None
    assert outcome.error.type == "NameError"
