"""One script for readers; thoughts are never answers."""

from __future__ import annotations

import time

import pytest

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Language
from workers.experiment.reading.agreement import AgreementReader
from workers.experiment.reading.choice import ChoiceReader
from workers.experiment.reading.ranking import RankingReader
from workers.experiment.reading.reader import UnreadableError
from workers.experiment.reading.script import plain, uniform, without_thoughts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3", "3"),
        ("<think>1</think>3", "3"),
        ("<THINKING>1</THINKING>3", "3"),
        ("<think>1</think>2<reasoning>4</reasoning>3", "2\n3"),
        ("1</think>3", "3"),
        ("<think>1 <think>2</think> 4</think>3", "3"),
        ("<think>1", ""),
        ("3<think>1", "3"),
        ("◁think▷1◁/think▷3", "3"),
        ("I <think about> it", "I <think about> it"),
    ],
)
def test_thoughts_are_no_answers(text: str, said: str) -> None:
    assert without_thoughts(text).strip() == said


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("１５，０００", "15,000"),
        ("١٥٬٠٠٠", "15,000"),
        ("१५०००", "15000"),
        ("𝟏𝟓", "15"),
        ("“三”。", '"三".'),
        ("1\u200b5\ufeff", "15"),
        ("15\u00a0000", "15 000"),
        ("−5", "-5"),
        ("①", "①"),
        ("5²", "5²"),
    ],
)
def test_digits_and_signs_of_every_script(text: str, same: str) -> None:
    assert uniform(text) == same


def test_markdown_is_no_part_of_an_answer() -> None:
    assert plain("```text\n# **Answer**:\n- `3`\n```") == "answer:\n3"


@pytest.mark.parametrize(
    "text",
    [
        "<think>" * 20_000,
        "</think>" * 20_000,
        "{" * 60_000,
        '{"a":' * 20_000,
        '{"principle": 3, "agree": true, "ranking": [1, 2, 3, 4], "amount": 5000}' + "i vote " * 10_000,
        "i choose principle " * 5_000,
        "i vote " * 5_000 + '{"principle": 3, "amount": 5000}',
        "1,2" * 30_000,
        "一万" * 30_000,
        ", " * 30_000,
        "sure " * 20_000,
        "'" * 50_000 + "{",
        "{'a" * 20_000,
        " " * 100_000 + "x",
    ],
)
def test_no_answer_takes_long_to_read(text: str) -> None:
    readers = (AgreementReader(), ChoiceReader(FOUR_PRINCIPLES, Language.MANDARIN), RankingReader())
    began = time.process_time()
    for reader in readers:
        try:
            reader.read(text)
        except UnreadableError:
            continue
    assert time.process_time() - began < 5
