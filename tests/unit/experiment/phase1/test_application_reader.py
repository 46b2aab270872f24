"""A paid choice is read with its reasons, which choose nothing."""

from __future__ import annotations

import pytest

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Certainty, Language, Principle
from workers.experiment.phase1.application import Application, ApplicationReader
from workers.experiment.reading.choice import ChoiceReader
from workers.experiment.reading.reader import UnreadableError
from workers.experiment.records import Choice

READER = ApplicationReader(ChoiceReader(FOUR_PRINCIPLES, Language.ENGLISH, 1_000, 10_000_000))
FLOOR = Choice(Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT, 13_000)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            '{"reasons": "Principle 1 is too strict.", "principle": 3, "amount": 13000, "certainty": "sure"}',
            Application(FLOOR, Certainty.SURE, "Principle 1 is too strict."),
        ),
        (
            'It protects me.\n```json\n{"principle": 3, "amount": 13000, "certainty": "very_sure"}\n```',
            Application(FLOOR, Certainty.VERY_SURE, "It protects me."),
        ),
        (
            '{"principle": 2, "amount": null, "certainty": "unsure"}',
            Application(Choice(Principle.MAXIMIZING_AVERAGE), Certainty.UNSURE, ""),
        ),
    ],
)
def test_reasons_are_read_beside_the_choice(answer: str, expected: Application) -> None:
    assert READER.read(answer) == expected


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ('{"reasons": "Fair.", "principle": 3, "amount": null, "certainty": "sure"}', "amount_missing"),
        ("I would take $15,000.", None),
        ("", None),
    ],
)
def test_what_is_no_choice_is_told_apart(answer: str, code: str | None) -> None:
    with pytest.raises(UnreadableError) as refused:
        READER.read(answer)
    assert code is None or refused.value.code == code


def test_the_schema_asks_for_the_reasons_first() -> None:
    schema = READER.schema
    assert schema is not None
    assert list(schema["properties"]) == ["reasons", "principle", "amount", "certainty"]
    assert schema["required"] == list(schema["properties"])
