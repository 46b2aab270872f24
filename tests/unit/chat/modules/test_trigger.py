"""Triggers hold for what was said, refuse what cannot be searched for, and never take long."""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
import time
from uuid import uuid4

import pytest

from shared.schemas.trigger import MAX_PATTERN, check_trigger, is_always
from workers.chat.modules.module import Module
from workers.chat.modules.trigger_matcher import TOGETHER, TriggerMatch, TriggerMatcher

#: Takes longer than anybody waits, on a text of its own kind.
ENDLESS = "(a|aa)+$"
ENDLESS_TEXT = "a" * 60 + "b"


async def match(
    pattern: str | None, said: str, reply: str | None = None, timeout: float = 5
) -> TriggerMatch | None:
    module = Module(id=uuid4(), name="m", trigger_pattern=pattern)
    texts = {"user_message": said} | ({} if reply is None else {"ai_response": reply})
    return (await TriggerMatcher(timeout).match([module], texts)).get("m")


@pytest.mark.parametrize("pattern", [None, "", "  ", "*", " * "])
async def test_no_pattern_holds_always_and_is_not_even_searched(pattern: str | None) -> None:
    assert is_always(pattern)
    assert await match(pattern, "anything") is None


@pytest.mark.parametrize(
    ("pattern", "said", "matched"),
    [
        ("weather", "How is the WEATHER?", True),
        ("weather", "How are you?", False),
        ("weather", "", False),
        ("weather|rain", "will it rain", True),
        ("weather | rain", "will it rain", True),
        ("weather|", "nothing of it", False),
        ("two words", "these two words here", True),
        ("straße", "STRASSE", True),
        (r"\brain\b", "training", False),
        (r"\brain\b", "Rain!", True),
        (r"^\d+$", "2026", True),
        (r"^\d+$", "in 2026", False),
        ("caf[eé]", "CAFÉ", True),
        ("(?P<who>ann|bob) said", "Ann said so", True),
    ],
)
async def test_search_disregards_case(pattern: str, said: str, matched: bool) -> None:
    found = await match(pattern, said)
    assert found is not None
    assert found.matched is matched


async def test_the_match_tells_what_and_where() -> None:
    assert await match("rain", "no", "Rain it is") == TriggerMatch(True, "rain", "ai_response")
    assert await match(r"r\w+n", "it will Rain", "rain") == TriggerMatch(True, "Rain", "user_message")


async def test_a_search_that_takes_too_long_is_no_match() -> None:
    assert await match(ENDLESS, ENDLESS_TEXT, timeout=0.02) == TriggerMatch(False, timed_out=True)


async def test_a_long_search_does_not_hold_up_the_others() -> None:
    """While it lasts the event loop turns, which it could not if the search were made in its thread."""
    turned = 0
    search = asyncio.create_task(match(ENDLESS, ENDLESS_TEXT, timeout=0.2))
    while not search.done():
        await asyncio.sleep(0)
        turned += 1
    assert (await search) == TriggerMatch(False, timed_out=True)
    assert turned > 100


async def test_a_search_that_is_cancelled_lets_go_at_once() -> None:
    search = asyncio.create_task(match(ENDLESS, ENDLESS_TEXT, timeout=0.3))
    await asyncio.sleep(0)
    search.cancel()
    with pytest.raises(asyncio.CancelledError):
        await search


@pytest.mark.parametrize("pattern", ["a(b", "[", "(?P<x", "*a"])
async def test_a_stored_pattern_that_is_none_is_searched_as_it_stands(pattern: str) -> None:
    found = await match(pattern, f"say {pattern.upper()} now")
    assert found is not None
    assert found.matched
    assert found.invalid is not None
    assert "is no regular expression" in found.invalid


@pytest.mark.parametrize("pattern", ["", "*", "word", "a|b", r"\d+", "a|", "(x|y)z", "ümlaut"])
def test_a_good_pattern_may_be_saved(pattern: str) -> None:
    assert check_trigger(pattern) == pattern


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("a(b", "missing ) at position 3"),
        ("[", "unterminated character set"),
        ("a{3,1}", "min repeat greater than max repeat"),
        ("|", "names no word"),
        (" | ", "names no word"),
        ("x" * (MAX_PATTERN + 1), "at most 500 characters, and has 501"),
    ],
)
def test_a_pattern_that_cannot_be_searched_for_is_refused_with_the_reason(pattern: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        check_trigger(pattern)


def test_a_pattern_nested_too_deep_is_refused() -> None:
    """How deep is too deep depends on the stack that is left; here there is next to none."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 150)
    try:
        with pytest.raises(ValueError, match="nested too deep"):
            check_trigger("(" * 249 + "a" + ")" * 249)
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize("pattern", ["(?:" + "(a)" * 160 + "){9999}", "(?:" + "a?" * 200 + "){99}"])
def test_a_pattern_that_would_be_huge_when_compiled_is_refused_at_once(pattern: str) -> None:
    began = time.process_time()
    with pytest.raises(ValueError, match="written out"):
        check_trigger(pattern)
    assert time.process_time() - began < 0.1


async def test_triggers_that_take_long_are_stopped_together() -> None:
    timeout, many = 0.02, 40 * TOGETHER
    modules = [
        Module(id=uuid4(), name=f"m{n}", trigger_pattern=f"{ENDLESS}{'x' * (n % 3)}") for n in range(many)
    ]
    late = Module(id=uuid4(), name="late", trigger_pattern="word")
    began = time.perf_counter()
    found = await TriggerMatcher(timeout).match([*modules, late], {"user_message": ENDLESS_TEXT})
    assert time.perf_counter() - began < timeout * many / 2
    assert set(found.values()) == {TriggerMatch(False, timed_out=True)}
    assert len(found) == many + 1
