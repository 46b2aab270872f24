"""Yes is yes and no is no; a number in passing is neither."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.experiment.reading.agreement import AgreementReader
from workers.experiment.reading.reader import UnreadableError

READER = AgreementReader()


@pytest.mark.parametrize(
    "answer",
    [
        '{"agree": true}',
        '{"agree": 1}',
        '{"agree": "yes"}',
        '{"agree": "1"}',
        '{"agree": "true"}',
        '{"Agree": True}',
        '{"acuerdo": "sí"}',
        '{"同意": "是"}',
        '```json\n{"agree": true}\n```',
        'Yes! {"agree": true}',
        'Round 1 is over, so: {"agree": true}',
        '{"agree": true, "reason": "no more talk is needed"}',
        "<think>no, 0</think>1",
        "1",
        "１",
        "1.",
        "**1**",
        "yes",
        "Yes.",
        "YES!",
        "Answer: yes",
        "Answer: 1",
        "1 (yes)",
        "1 - yes",
        "Yes, I agree.",
        "I agree to vote now.",
        "Yes, because we have talked enough.",
        "Yes. We are ready after round 2.",
        "sí",
        "Sí, estoy de acuerdo.",
        "si",
        "是",
        "agree: true",
        "I want to vote now.",
        "Let's vote!",
        "OK",
        "可以投票",
        "我想现在投票",
        "是的。",
        "同意",
        "是，我同意。",
        "好的",
        "我同意现在投票。",
    ],
)
def test_yes(answer: str) -> None:
    assert READER.read(answer) is True


@pytest.mark.parametrize(
    "answer",
    [
        '{"agree": false}',
        '{"agree": 0}',
        '{"agree": "no"}',
        '{"agree": "0"}',
        '{"agree": "否"}',
        "0",
        "No.",
        "no",
        "0 = no",
        "No, I do not agree.",
        "No, we should go on with the discussion.",
        "I disagree",
        "No, I don't agree to a vote.",
        "No, no estoy de acuerdo.",
        "否",
        "No, it is only round 1.",
        "Not yet.",
        "Todavía no.",
        "不同意现在投票",
        "还不想投票",
        "不",
        "不同意",
        "不，我不同意。",
        "不，我不同意现在投票。",
        "不是",
    ],
)
def test_no(answer: str) -> None:
    assert READER.read(answer) is False


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("", "empty_response"),
        ("<think>yes", "empty_response"),
        ("100%", "no_agreement"),
        ("round 1", "no_agreement"),
        ("$1", "no_agreement"),
        ("10", "no_agreement"),
        ("1,000", "no_agreement"),
        ("-1", "no_agreement"),
        ("2", "no_agreement"),
        ("1. I think we need more time", "no_agreement"),
        ("There is 1 thing to settle", "no_agreement"),
        ("0 doubts", "no_agreement"),
        ("No problem, let's vote", "no_agreement"),
        ("maybe", "no_agreement"),
        ("yes?", "no_agreement"),
        ("是不是", "no_agreement"),
        ("agreeable weather", "no_agreement"),
        ("Yes and no", "no_agreement"),
        ("I want to vote for principle 3", "no_agreement"),
        ('{"agree": true/false}', "no_agreement"),
        ("yes, no", "contradiction"),
        ("1 0", "no_agreement"),
        ("1/0", "contradiction"),
        ("Yes, but not now", "contradiction"),
        ("Yes, if the others want to", "contradiction"),
        ("No, I agree with voting", "contradiction"),
        ("Sí, pero todavía no", "contradiction"),
        ("是，但是现在不行", "contradiction"),
        ('{"agree": true} {"agree": false}', "contradiction"),
        ('{"agree": true, "vote": "no"}', "contradiction"),
        ('{"agree": true, "agree": false}', "contradiction"),
        ('No. {"agree": true}', "contradiction"),
        ('{"agree": 2}', "no_agreement"),
        ('{"agree": 1.5}', "no_agreement"),
        ('{"agree": null}', "no_agreement"),
        ('{"agree": "100%"}', "no_agreement"),
        ('{"agree": [true]}', "no_agreement"),
        ("no " * 400, "too_long"),
    ],
)
def test_what_is_neither_is_refused(answer: str, expected: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        READER.read(answer)
    assert caught.value.code == expected


@given(st.integers())
def test_only_one_and_zero_are_answers(number: int) -> None:
    for text in (str(number), f'{{"agree": {number}}}'):
        try:
            assert READER.read(text) == (number == 1)
        except UnreadableError:
            assert number not in (0, 1)


@given(
    number=st.integers(0, 10**9),
    style=st.sampled_from(["{}%", "round {}", "${}", "{} rounds", "principle {}"]),
)
def test_numbers_that_count_something_are_no_answers(number: int, style: str) -> None:
    with pytest.raises(UnreadableError):
        READER.read(style.format(number))


@given(st.text(max_size=100))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        answer = READER.read(text)
    except UnreadableError:
        return
    assert isinstance(answer, bool)


def test_words_before_the_object_may_weigh_both_sides() -> None:
    assert READER.read('Yes, there is more to say, but we are ready. {"agree": true}') is True
