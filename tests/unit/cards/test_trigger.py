"""Keys of a lorebook trigger where the card's author meant them to."""

from __future__ import annotations

import pytest

from shared.cards.trigger import UnusableKeysError, keyword_pattern, regex_pattern
from shared.schemas.trigger import check_trigger, compile_trigger, keywords


def triggers(pattern: str, text: str) -> bool:
    check_trigger(pattern)
    words = keywords(pattern)
    if words is not None:
        return any(word.lower() in text.lower() for word in words)
    return compile_trigger(pattern).search(text) is not None


def test_plain_keys_stay_readable() -> None:
    assert keyword_pattern(["storm", " old light ", "storm", ""]) == "storm|old light"


@pytest.mark.parametrize(
    ("keys", "options", "yes", "no"),
    [
        (["storm"], {}, ["A STORM!"], ["calm"]),
        (["C++", "a|b"], {}, ["i like c++", "A|B"], ["c", "a or b"]),
        (["*"], {}, ["five *"], ["five"]),
        (["Sea"], {"case_sensitive": True}, ["Sea"], ["sea"]),
        (["sea"], {"also": [["storm", "wind"]]}, ["wind\nat SEA", "sea storm"], ["sea", "wind"]),
        (["sea"], {"also": [[]]}, ["sea"], ["wind"]),
        (["sea"], {"never": ["dead"]}, ["the sea"], ["dead\nsea", "dead"]),
        (["sea"], {"also": [["x"], ["b"]], "never": ["c"]}, ["b x sea"], ["b sea", "c b x sea"]),
    ],
)
def test_keywords(keys: list[str], options: dict[str, object], yes: list[str], no: list[str]) -> None:
    pattern = keyword_pattern(keys, **options)  # type: ignore[arg-type]
    assert [triggers(pattern, text) for text in yes] == [True] * len(yes)
    assert [triggers(pattern, text) for text in no] == [False] * len(no)


@pytest.mark.parametrize(
    ("patterns", "yes", "no"),
    [
        (["/st[ou]rm/i"], ["STURM"], ["steam"]),
        (["st[ou]rm"], ["storm"], ["STORM"]),
        (["/^a/m", "/Z$/"], ["b\na", "Z"], ["A", "z"]),
    ],
)
def test_regular_expressions_keep_their_flags(patterns: list[str], yes: list[str], no: list[str]) -> None:
    pattern = regex_pattern(patterns)
    assert [triggers(pattern, text) for text in yes] == [True] * len(yes)
    assert [triggers(pattern, text) for text in no] == [False] * len(no)


@pytest.mark.parametrize("keys", [[], ["", "  "], ["x" * 501], ["y" * 100 + str(n) for n in range(10)]])
def test_keys_that_make_no_trigger(keys: list[str]) -> None:
    for make in (keyword_pattern, regex_pattern):
        with pytest.raises(UnusableKeysError):
            make(keys)


@pytest.mark.parametrize("pattern", ["(", "a)(b", "/[/", "*", "(?P<a>x", "(" * 200])
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(UnusableKeysError):
        regex_pattern([pattern])
