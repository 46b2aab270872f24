"""Deltas of tool calls become whole calls."""

from __future__ import annotations

from workers.providers import ToolCallMerger


def test_deltas_are_joined_by_index() -> None:
    merger = ToolCallMerger()
    assert not merger
    merger.add([{"index": 1, "id": "b", "type": "function", "function": {"name": "two", "arguments": ""}}])
    merger.add(
        [{"index": 0, "id": "a", "function": {"name": "one"}}, {"index": 1, "function": {"arguments": "{"}}]
    )
    merger.add([{"index": 1, "function": {"arguments": "}"}}, {"index": 0, "function": {"arguments": "[]"}}])
    assert merger
    assert merger.result() == [
        {"id": "a", "type": "function", "function": {"name": "one", "arguments": "[]"}},
        {"id": "b", "type": "function", "function": {"name": "two", "arguments": "{}"}},
    ]


def test_a_call_without_an_id_is_given_one_that_stays() -> None:
    merger = ToolCallMerger()
    merger.add([{"index": 0, "function": {"name": "f", "arguments": "{}"}}])
    first = merger.result()[0]["id"]
    assert first.startswith("call_")
    assert merger.result()[0]["id"] == first
