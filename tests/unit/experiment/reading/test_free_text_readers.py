"""Statements, texts, and what the utility agent answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.experiment.terms import Principle
from workers.experiment.reading.comprehension import ComprehensionReader
from workers.experiment.reading.favoured import FavouredReader, NoPrinciple
from workers.experiment.reading.free_text import (
    FailureReader,
    StatementFailure,
    StatementReader,
    TextReader,
    is_cjk,
)
from workers.experiment.reading.reader import UnreadableError

STATEMENTS = StatementReader(10, 5)


@pytest.mark.parametrize(
    ("answer", "statement"),
    [
        ("I am for principle 3.", "I am for principle 3."),
        ("<think>secret</think>\nI am for principle 3.", "I am for principle 3."),
        ("  I am for\r\nprinciple 3.\x00\n", "I am for\nprinciple 3."),
        ('{"statement": "I am for principle 3."}', "I am for principle 3."),
        ('```json\n{"statement": "I am for principle 3."}\n```', "I am for principle 3."),
        ('I am for {"principle": 3} as it is', 'I am for {"principle": 3} as it is'),
        ("我支持第三条", "我支持第三条"),
    ],
)
def test_a_statement_is_what_is_said_and_no_thought(answer: str, statement: str) -> None:
    assert STATEMENTS.read(answer) == statement


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("", "empty_response"),
        ("<think>I am for principle 3 because of the poor", "empty_response"),
        ("\x00\x01", "empty_response"),
        ("...... 123 !!!", "minimal_content"),
        ("I agree", "too_short"),
        ("我支持", "too_short"),
        ('{"statement": ""}', "empty_response"),
    ],
)
def test_what_says_too_little_is_refused(answer: str, expected: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        STATEMENTS.read(answer)
    assert caught.value.code == expected


def test_chinese_is_counted_by_its_own_measure() -> None:
    assert is_cjk("我支持原则3 because") is False
    assert is_cjk("我支持原则3号方案 ok") is True


@given(st.text(max_size=200))
def test_what_a_text_reader_reads_can_be_stored(text: str) -> None:
    try:
        read = TextReader().read(text)
    except UnreadableError:
        return
    assert read == read.strip() != ""
    assert "\x00" not in read
    read.encode()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"failure": "minimal_content"}', StatementFailure.MINIMAL_CONTENT),
        ("too_short", StatementFailure.TOO_SHORT),
        ("Too short.", StatementFailure.TOO_SHORT),
    ],
)
def test_the_kind_of_failure(answer: str, expected: StatementFailure) -> None:
    assert FailureReader().read(answer) is expected


def test_no_other_failure_is_read() -> None:
    with pytest.raises(UnreadableError):
        FailureReader().read("too_short or empty_response")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"principle": 3}', Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT),
        ('{"principle": 6}', Principle.MAXIMIZING_MEDIAN),
        ('{"principle": 0}', NoPrinciple.NONE),
        ('{"principle": null}', NoPrinciple.NONE),
        ('{"principle": "none"}', NoPrinciple.NONE),
        ("0", NoPrinciple.NONE),
        ("4", Principle.MAXIMIZING_AVERAGE_RANGE_CONSTRAINT),
    ],
)
def test_what_the_utility_agent_hears_in_a_statement(answer: str, expected: object) -> None:
    assert FavouredReader().read(answer) is expected


@pytest.mark.parametrize(
    "answer", ['{"principle": 1}{"principle": 0}', "15,000", "1 and 2", '{"principle": 8}']
)
def test_what_it_does_not_say_clearly_is_not_heard(answer: str) -> None:
    with pytest.raises(UnreadableError):
        FavouredReader().read(answer)


@pytest.mark.parametrize(
    "answer",
    [
        '{"answers": [4, 1, 3, 2]}',
        '{"answers": ["4", "1", "3", "2"]}',
        '{"answers": {"1": 4, "2": 1, "3": 3, "4": 2}}',
        '{"answers": {"question 1": 4, "question 2": 1, "question 3": 3, "question 4": 2}}',
        "4, 1, 3, 2",
        "1: 4\n2: 1\n3: 3\n4: 2",
        "Question 1: Distribution 4\nQuestion 2: distribution 1\nQuestion 3: 3\nQuestion 4: 2",
        "问题1：4\n问题2：1\n问题3：3\n问题4：2",
    ],
)
def test_the_answers_to_the_comprehension_test(answer: str) -> None:
    assert ComprehensionReader(4, 4).read(answer) == (4, 1, 3, 2)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("", "empty_response"),
        ("4, 1, 3", "answers_missing"),
        ('{"answers": [4, 1, 3, 2, 1]}', "answers_missing"),
        ('{"answers": [4, 1, 3, 5]}', "answers_unclear"),
        ('{"answers": [4, 1, 3, 1.5]}', "answers_unclear"),
        ('{"answers": [4, 1, 3, null]}', "answers_unclear"),
        ('{"answers": [4, 1, 3, 2]} {"answers": [1, 2, 3, 4]}', "contradiction"),
        ("1: 4\n3: 1\n2: 3\n4: 2", "answers_unclear"),
        ("All of them", "answers_unclear"),
    ],
)
def test_answers_that_do_not_answer_every_question(answer: str, expected: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        ComprehensionReader(4, 4).read(answer)
    assert caught.value.code == expected
