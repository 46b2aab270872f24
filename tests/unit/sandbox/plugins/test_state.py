"""Variables, other modules, where the turn stands, and lines of the log."""

from __future__ import annotations

import pytest

from tests.unit.sandbox.plugins.calls import call
from workers.sandbox.plugins.buffer import Variables
from workers.sandbox.plugins.errors import CallError
from workers.sandbox.plugins.ports import LogEntry, ModuleOutput
from workers.sandbox.plugins.registry import plugin_registry
from workers.sandbox.plugins.testing import NOON, KnownModules, in_memory_context


async def test_variables_are_those_of_the_run() -> None:
    variables = Variables({"turns": 1}, {"mood": "calm"})
    context = in_memory_context(variables=variables)
    assert await call(context, "set_variable", "turns", 2) is None
    assert await call(context, "get_variable", "turns") == 2
    assert await call(context, "get_variable", "none", "default") == "default"
    assert await call(context, "get_all_variables") == {"turns": 2, "mood": "calm"}
    assert variables.changes() == {"turns": 2}


async def test_a_script_can_ask_what_there_is() -> None:
    context = in_memory_context()
    assert await call(context, "get_available_functions") == list(plugin_registry().names())
    assert await call(context, "has_function", "generate") is True
    assert await call(context, "has_function", "__init__") is False


async def test_a_module_gives_its_text_and_variables() -> None:
    modules = KnownModules({"dice": ModuleOutput(text="a six", variables={"eyes": 6})})
    context = in_memory_context(run_module=modules)
    expected = {"text": "a six", "variables": {"eyes": 6}}
    assert await call(context, "run_module", "dice") == expected
    assert await call(context, "run_module", "@dice") == expected
    assert modules.ran == ["dice", "dice"]
    with pytest.raises(CallError) as refused:
        await call(context, "run_module", "coin")
    assert refused.value.type == "LookupError"


async def test_where_no_module_can_be_run_it_is_said() -> None:
    with pytest.raises(CallError, match="no other module can be run here"):
        await call(in_memory_context(run_module=None), "run_module", "dice")


async def test_the_prompt_can_be_looked_at() -> None:
    context = in_memory_context(
        stage=4, prompts={1: "one", 2: "one two"}, visible_prompt="one two", reply="Hi", reflection_depth=1
    )
    brief = await call(context, "debug_prompt_state")
    assert brief == {
        "module_name": "script",
        "stage": 4,
        "reflection_depth": 1,
        "visible_length": 7,
        "reply_length": 2,
        "stages": {"1": {"length": 3}, "2": {"length": 7}},
    }
    detailed = await call(context, "debug_prompt_state", detailed=True)
    assert detailed["stages"]["2"] == {"length": 7, "text": "one two"}
    assert (detailed["visible_prompt"], detailed["reply"]) == ("one two", "Hi")
    empty = await call(in_memory_context(), "debug_prompt_state")
    assert (empty["visible_length"], empty["stages"]) == (None, {})


async def test_lines_are_logged_and_cut() -> None:
    entries: list[LogEntry] = []
    context = in_memory_context(log=entries, module_name="mood")
    assert await call(context, "log", "hello") is None
    await call(context, "log", {"n": [1, "ä"]}, "warning")
    await call(context, "log", "x" * 5000, level="debug")
    assert entries[0] == LogEntry(level="info", message="hello", module_name="mood", at=NOON)
    assert (entries[1].level, entries[1].message) == ("warning", '{"n": [1, "ä"]}')
    assert len(entries[2].message) == 2000
    with pytest.raises(CallError, match="argument level"):
        await call(context, "log", "hello", "fatal")
