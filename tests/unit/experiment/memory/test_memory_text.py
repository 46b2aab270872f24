"""Texts are shortened by whole sentences, and never past their limit."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workers.experiment.services.memory_text import CUT, OMITTED, beginning, clean, cut, ending, sentences

#: Any text, and texts that are full of what could be an end.
TEXTS = st.one_of(
    st.text(),
    st.text(alphabet="aB1 .!?…。！？\n)”,、$é\u0301[]"),
    st.lists(
        st.sampled_from(
            [
                "I chose 3.",
                "e.g. $15,000.",
                "¿Por qué?",
                "我选择原则三。",
                "收入是1.5万元！",
                "1. The floor",
                "- no end",
                OMITTED,
            ]
        )
    ).map(" ".join),
)
LIMITS = st.integers(min_value=0, max_value=120)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I want a floor. Bob does not!", ["I want a floor. ", "Bob does not!"]),
        ("The floor is $1.5 million. Fine.", ["The floor is $1.5 million. ", "Fine."]),
        ("Take some, e.g. a floor of $12,000. Yes.", ["Take some, e.g. a floor of $12,000. ", "Yes."]),
        ("Habla la Sra. Ruiz. ¿Y luego? Nada.", ["Habla la Sra. Ruiz. ", "¿Y luego? ", "Nada."]),
        ("我选原则三。他不同意！为什么？", ["我选原则三。", "他不同意！", "为什么？"]),
        ("他说：“我同意。”然后投票。", ["他说：“我同意。”", "然后投票。"]),
        ("1. The floor. 2. The average.", ["1. The floor. ", "2. The average."]),
        ("My view\n- a floor\n\nMoney\n", ["My view\n", "- a floor\n\n", "Money\n"]),
        ('She said "no." I left...', ['She said "no." ', "I left..."]),
        ("no end", ["no end"]),
        ("", []),
    ],
)
def test_where_a_sentence_ends(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@settings(deadline=None)
@given(TEXTS)
def test_the_sentences_together_are_the_text(text: str) -> None:
    assert "".join(sentences(text)) == text


@settings(deadline=None)
@given(TEXTS)
def test_what_is_left_of_a_text_has_the_same_sentences(text: str) -> None:
    whole = sentences(text)
    for start in range(len(whole)):
        assert sentences("".join(whole[start:])) == whole[start:]


@settings(deadline=None)
@given(TEXTS, LIMITS)
@example("。", 0)
@example("a" * 20, 1)
def test_the_limit_holds_for_any_text(text: str, limit: int) -> None:
    for shortened in (beginning(text, limit), ending(text, limit), cut(text.strip(), limit)):
        assert len(shortened) <= limit


@settings(deadline=None)
@given(TEXTS, LIMITS)
def test_no_sentence_is_cut_unless_it_is_longer_than_the_limit(text: str, limit: int) -> None:
    whole = [sentence.strip() for sentence in sentences(text.strip())]
    last = ending(text, limit)
    if len(whole) > 0 and len(whole[-1]) <= limit:
        kept = [sentence.strip() for sentence in sentences(last)]
        assert kept == whole[len(whole) - len(kept) :]
    first = beginning(text, limit)
    if len(whole) > 0 and len(whole[0]) <= limit and OMITTED not in text:
        kept = [sentence.strip() for sentence in sentences(first.removesuffix(OMITTED).rstrip())]
        assert kept == whole[: len(kept)]


@settings(deadline=None)
@given(TEXTS, LIMITS)
def test_shortening_twice_is_shortening_once(text: str, limit: int) -> None:
    for shorten in (beginning, ending, cut):
        once = shorten(text, limit)
        assert shorten(once, limit) == once


@settings(deadline=None)
@given(TEXTS, st.lists(LIMITS, max_size=5))
def test_the_mark_of_what_was_left_out_never_accumulates(text: str, limits: list[int]) -> None:
    shortened = text.replace(OMITTED, "")
    for limit in sorted(limits, reverse=True):
        shortened = beginning(shortened, limit)
    assert shortened.count(OMITTED) <= 1


@settings(deadline=None)
@given(TEXTS)
def test_a_cleaned_text_holds_no_control_characters_and_can_be_stored(text: str) -> None:
    cleaned = clean(text + "\x00\x1b[31m\r\nnext\u2028line")
    assert not any(ord(character) < 32 and character not in "\n\t" for character in cleaned)
    assert cleaned.encode()
    assert clean(cleaned) == cleaned
    assert cleaned.endswith("next\nline")


def test_a_sentence_longer_than_the_limit_is_cut_between_words() -> None:
    assert (
        beginning("The floor matters more than anything else to me. And so on.", 20)
        == f"The floor matters{CUT}"
    )
    assert cut("原则三比其他原则更公平因为它保护最穷的人", 8) == f"原则三比其他原{CUT}"
    assert cut("incomprehensibilities", 8) == f"incompr{CUT}"
    assert cut("caf" + "e\u0301" * 5, 5) == f"caf{CUT}", "no letter loses its accent"


def test_the_newest_sentences_are_kept_of_a_memory_and_the_first_of_a_statement() -> None:
    text = "One is old. Two is newer. Three is newest."
    assert ending(text, 35) == "Two is newer. Three is newest."
    assert beginning(text, 35) == f"One is old. Two is newer. {OMITTED}"
