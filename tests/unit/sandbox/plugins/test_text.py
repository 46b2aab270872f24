"""Text and JSON, and no way to make the worker build what it cannot hold."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sandbox.plugins.calls import call
from workers.sandbox.plugins.errors import CallError
from workers.sandbox.plugins.registry import plugin_registry
from workers.sandbox.plugins.testing import in_memory_context

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON, st.none() | st.integers(0, 8))
async def test_json_comes_back_as_it_went(value: Any, indent: int | None) -> None:
    context = in_memory_context()
    assert await call(context, "from_json", await call(context, "to_json", value, indent)) == value


async def test_text_functions() -> None:
    context = in_memory_context()
    assert await call(context, "to_json", {"ä": [1]}) == '{"ä": [1]}'
    assert await call(context, "to_json", {"a": [1]}, 2) == json.dumps({"a": [1]}, indent=2)
    assert await call(context, "join_strings", ["a", 1, None, True, {"b": 2}]) == 'a, 1, null, true, {"b": 2}'
    assert await call(context, "join_strings", [], "-") == ""
    assert await call(context, "split_string", "  a b  c ") == ["a", "b", "c"]
    assert await call(context, "split_string", "a,b,c", ",", 1) == ["a", "b,c"]
    assert await call(context, "split_string", "a,b,c", ",", 0) == ["a,b,c"]
    assert await call(context, "split_string", "a,b", separator=",", max_splits=10**30) == ["a", "b"]
    assert await call(context, "count_words", " three\nlittle   words ") == 3


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        ("from_json", ['{"a": }'], "line 1 column 7"),
        ("from_json", ["NaN"], "NaN is no JSON number"),
        ("from_json", ["[" * 50_000], "nested too deep"),
        ("from_json", ["9" * 5000], "no JSON"),
        ("to_json", [float("inf")], "no JSON value"),
        ("to_json", [nested(100_000)], "nested"),
        ("to_json", [nested(200), 2], "leave indent out"),
        ("to_json", ["x" * 100_000, 2], "leave indent out"),
        ("to_json", [1, 9], "argument indent"),
        ("join_strings", [[""] * 10_000, "x" * 100_000], "999900000 characters"),
        ("join_strings", [[""] * 10_001], "10001 items"),
        ("join_strings", [[nested(100_000)]], "nested too deep"),
        ("split_string", ["a", ""], "separator must not be empty"),
    ],
)
async def test_what_cannot_be_done_is_said(name: str, args: list[Any], said: str) -> None:
    with pytest.raises(CallError) as refused:
        await call(in_memory_context(), name, *args)
    assert refused.value.type == "ValueError"
    assert said in refused.value.message


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("join_strings", [[1] * 500_000]),
        ("from_json", ["[" + ",".join(["[]"] * 300_000) + "]"]),
        ("set_variable", ["x", [1, None] * 200_000]),
        ("log", [{"a": [1] * 500_000}]),
    ],
)
async def test_a_megabyte_of_small_values_holds_up_nobody(name: str, args: list[Any]) -> None:
    context = in_memory_context()
    began = time.process_time()
    with suppress(CallError):
        await plugin_registry().call(context, name, args, {})
    assert time.process_time() - began < 0.3
