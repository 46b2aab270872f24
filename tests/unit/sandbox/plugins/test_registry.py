"""Arguments are bound and checked, errors name function, argument and remedy, and nothing inner leaks."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.unit.sandbox.plugins.calls import call
from workers.sandbox.plugins.context import PluginContext
from workers.sandbox.plugins.errors import MAX_TEXT, CallError
from workers.sandbox.plugins.registry import PluginFunction, PluginRegistry, plugin_function, plugin_registry
from workers.sandbox.plugins.testing import InMemoryMessages, in_memory_context, said

#: Name → (category, parameters as a script writes them).
DOCUMENTED = {
    "get_current_time": ("time", "format='%Y-%m-%d %H:%M', timezone=None"),
    "get_relative_time": ("time", "minutes_offset=0, format='%H:%M'"),
    "is_business_hours": ("time", "start_hour=9, end_hour=17"),
    "get_day_of_week": ("time", "full_name=True"),
    "format_timestamp": ("time", "unix, format"),
    "to_json": ("text", "data, indent=None"),
    "from_json": ("text", "s"),
    "join_strings": ("text", "list, separator=', '"),
    "split_string": ("text", "text, separator=None, max_splits=-1"),
    "count_words": ("text", "text"),
    "get_message_count": ("messages", "conversation_id=None"),
    "get_recent_messages": ("messages", "limit=5, conversation_id=None"),
    "get_raw_recent_messages": ("messages", "limit=10, conversation_id=None"),
    "get_message_range": ("messages", "start=0, end=None, conversation_id=None"),
    "get_conversation_history": ("messages", "conversation_id=None, limit=50, offset=0"),
    "get_conversation_summary": ("info", ""),
    "get_persona_info": ("info", "persona_id=None"),
    "get_buffer_messages": ("memory", "start=25, end=35"),
    "should_compress_buffer": ("memory", "buffer_size=11, min_total_messages=None"),
    "should_compress_buffer_by_ids": ("memory", "ids"),
    "store_memory": ("memory", "text, message_range='25-35', total_messages=None, first_message_id=None"),
    "get_recent_memories": ("memory", "limit=10"),
    "get_memory_status": ("memory", ""),
    "clear_memories": ("memory", ""),
    "remember": ("memory", "key, value"),
    "recall": ("memory", "key=None, default=None"),
    "generate": ("ai", "*texts, instructions=None, input=None, provider=None, model=None, **controls"),
    "reflect": ("ai", "instructions, role='assistant', provider=None, model=None, **controls"),
    "can_reflect": ("ai", ""),
    "get_reflection_audit_trail": ("ai", ""),
    "get_variable": ("state", "name, default=None"),
    "set_variable": ("state", "name, value"),
    "get_all_variables": ("state", ""),
    "get_available_functions": ("state", ""),
    "has_function": ("state", "name"),
    "run_module": ("state", "name"),
    "debug_prompt_state": ("state", "detailed=False"),
    "log": ("log", "message, level='info'"),
}


def test_every_function_is_there_with_its_signature() -> None:
    found = {
        info.name: (info.category, info.signature.removeprefix(f"{info.name}(").split(") -> ")[0])
        for info in plugin_registry().describe()
    }
    assert found == DOCUMENTED
    assert plugin_registry().names() == tuple(sorted(DOCUMENTED))


def test_the_registry_is_built_once() -> None:
    assert plugin_registry() is plugin_registry()


def test_functions_are_described_for_people() -> None:
    infos = {info.name: info for info in plugin_registry().describe()}
    assert all(info.docstring for info in infos.values())
    recent = infos["get_recent_messages"]
    assert recent.signature == "get_recent_messages(limit=5, conversation_id=None) -> str"
    limit, conversation = recent.parameters
    assert (limit.name, limit.type, limit.default, limit.required) == ("limit", "int", 5, False)
    assert (conversation.type, conversation.default, conversation.required) == ("str | None", None, False)
    (ids,) = infos["should_compress_buffer_by_ids"].parameters
    assert (ids.type, ids.default, ids.required) == ("list[str]", None, True)
    texts, *_, controls = infos["generate"].parameters
    assert (texts.name, texts.required, controls.name, controls.required) == (
        "*texts",
        False,
        "**controls",
        False,
    )


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "type", "words"),
    [
        ("get_recent_messages", ["5"], {}, "TypeError", ["argument limit", "'5' (str)", "limit=5"]),
        ("get_recent_messages", [True], {}, "TypeError", ["argument limit", "True (bool)"]),
        ("get_recent_messages", [2.5], {}, "TypeError", ["argument limit", "2.5 (float)"]),
        ("get_recent_messages", [[1]], {}, "TypeError", ["argument limit", "type list"]),
        (
            "get_recent_messages",
            [-1],
            {},
            "ValueError",
            ["argument limit", "greater than or equal to 0", "-1"],
        ),
        ("get_recent_messages", [10**80], {}, "ValueError", ["argument limit", "type int"]),
        (
            "get_recent_messages",
            [1, None, 3],
            {},
            "TypeError",
            ["get_recent_messages()", "too many positional"],
        ),
        (
            "get_recent_messages",
            [],
            {"lmit": 3},
            "TypeError",
            ["unexpected keyword argument 'lmit'", "limit=5"],
        ),
        ("get_recent_messages", [1], {"limit": 3}, "TypeError", ["multiple values for argument 'limit'"]),
        ("count_words", [], {}, "TypeError", ["missing a required argument: 'text'", "count_words(text)"]),
        ("count_words", [None], {}, "TypeError", ["argument text", "NoneType"]),
        ("reflect", ["x", "sytem"], {}, "ValueError", ["argument role", "'assistant'", "'sytem'"]),
        ("should_compress_buffer_by_ids", [["a", 1]], {}, "TypeError", ["argument ids"]),
        ("generate", ["a", 1], {}, "TypeError", ["argument texts", "1 (int)"]),
        ("nothing_such", [], {}, "AttributeError", ["no function 'nothing_such'", "get_available_functions"]),
    ],
)
async def test_a_wrong_call_is_told_what_is_wrong_and_how_to_call(
    name: str, args: list[Any], kwargs: dict[str, Any], type: str, words: list[str]
) -> None:
    with pytest.raises(CallError) as refused:
        await call(in_memory_context(), name, *args, **kwargs)
    assert refused.value.type == type
    for word in words:
        assert word in refused.value.message


async def test_a_message_stays_short_whatever_it_is_about() -> None:
    with pytest.raises(CallError) as refused:
        await call(in_memory_context(), "count_words", **{"x" * 100_000: 1})
    assert len(refused.value.message) <= MAX_TEXT
    with pytest.raises(CallError) as refused:
        await call(in_memory_context(), "get_recent_messages", "x" * 100_000)
    assert len(refused.value.message) < 300


async def test_what_fails_inside_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(InMemoryMessages):
        async def count(self) -> int:
            raise OSError("connection to 10.0.0.7 refused for user admin")

    with caplog.at_level(logging.ERROR), pytest.raises(CallError) as refused:
        await call(in_memory_context(messages=Broken()), "get_message_count")
    assert refused.value.type == "RuntimeError"
    assert "get_message_count()" in refused.value.message
    assert "10.0.0.7" not in str(refused.value)
    assert "10.0.0.7" in caplog.text


@pytest.mark.parametrize("unit", ["x", "ä", "\n", "\ud800"])
async def test_a_result_that_one_call_cannot_carry_is_refused_so_that_a_script_can_ask_for_less(
    unit: str,
) -> None:
    messages = InMemoryMessages([said(0, "short"), said(1, unit * 100_000)])
    context = in_memory_context(messages=messages, payload=100_000)
    assert len(await call(context, "get_conversation_history", limit=1)) == 1
    with pytest.raises(CallError) as refused:
        await call(context, "get_conversation_history")
    assert refused.value.type == "ValueError"
    assert "ask for less" in refused.value.message


def test_a_name_is_declared_once() -> None:
    def log(context: PluginContext) -> None: ...

    with pytest.raises(ValueError, match="two plugin functions 'log'"):
        plugin_function(category="log")(log)


def test_a_function_without_a_context_is_refused() -> None:
    def alone(name: str) -> str:
        return name

    with pytest.raises(TypeError, match="first parameter"):
        PluginFunction(alone, "text")


async def test_functions_may_wait_or_not() -> None:
    async def later(context: PluginContext, n: int) -> int:
        return n + 1

    def now(context: PluginContext, n: int) -> int:
        return n + 2

    registry = PluginRegistry({"later": PluginFunction(later, "text"), "now": PluginFunction(now, "text")})
    assert await registry.call(in_memory_context(), "later", [1], {}) == 2
    assert await registry.call(in_memory_context(), "now", [], {"n": 1}) == 3


@pytest.mark.parametrize(
    "name",
    [
        "get_message_count",
        "get_recent_messages",
        "get_raw_recent_messages",
        "get_message_range",
        "get_conversation_history",
    ],
)
async def test_another_conversation_is_refused_and_the_own_one_accepted(name: str) -> None:
    messages = InMemoryMessages()
    context = in_memory_context(messages=messages)
    own = context.conversation_id
    assert own is not None
    assert not await call(context, name, conversation_id=own)
    assert not await call(context, name, conversation_id=own.upper())
    with pytest.raises(CallError) as refused:
        await call(context, name, conversation_id="00000000-0000-0000-0000-000000000001")
    assert refused.value.type == "PermissionError"
    assert "conversation_id" in refused.value.message
    with pytest.raises(CallError):
        await call(in_memory_context(conversation_id=None), name, conversation_id=own)
