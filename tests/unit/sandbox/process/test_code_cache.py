"""Compiled code is kept by whose it is, and only so much of it."""

from __future__ import annotations

import pytest

from workers.sandbox.process.code_cache import CodeCache

KEY = CodeCache.key(("ann", "mood"), "x = 1", "rules 1")


@pytest.mark.parametrize(
    "other",
    [
        CodeCache.key(("bob", "mood"), "x = 1", "rules 1"),
        CodeCache.key(("ann", "memory"), "x = 1", "rules 1"),
        CodeCache.key(("ann", "mood"), "x = 2", "rules 1"),
        CodeCache.key(("ann", "mood"), "x = 1", "rules 2"),
    ],
    ids=["owner", "module", "source", "rules"],
)
def test_nothing_is_shared_that_differs_in(other: tuple[str, str, bytes, str]) -> None:
    cache = CodeCache()
    cache.put(KEY, b"code")

    assert cache.get(other) is None
    assert cache.get(KEY) == b"code"


def test_what_was_used_longest_ago_goes_first() -> None:
    cache = CodeCache(capacity=30)
    keys = [CodeCache.key(("ann", str(number)), "x", "rules") for number in range(4)]
    for key in keys[:3]:
        cache.put(key, b"0123456789")
    cache.get(keys[0])

    cache.put(keys[3], b"0123456789")

    assert [cache.get(key) is not None for key in keys] == [True, False, True, True]


def test_code_that_is_put_again_counts_once() -> None:
    cache = CodeCache(capacity=30)
    other = CodeCache.key(("ann", "other"), "x", "rules")
    cache.put(other, b"0123456789")
    for _ in range(10):
        cache.put(KEY, b"0123456789")

    assert cache.get(other) is not None


def test_code_larger_than_the_cache_is_not_kept() -> None:
    cache = CodeCache(capacity=5)
    cache.put(KEY, b"0123456789")

    assert cache.get(KEY) is None
