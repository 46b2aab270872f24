"""The digest of a step log: what was asked, answered and drawn, and nothing that differs by chance."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from workers.experiment.steps.journal import StepKind, StepRecord
from workers.experiment.steps.key import StepKey
from workers.experiment.steps.log import ORIGINS, line, log_digest
from workers.experiment.steps.model_call import ModelAnswer, StepOutcome

ANSWER = ModelAnswer(
    outcome=StepOutcome.ANSWERED, text="代理 12", model="m", input_tokens=7, output_tokens=2, seconds=0.5
)
CALL = StepRecord(
    key=StepKey(2, 1, "Ana", "ballot/amount", 1),
    kind=StepKind.CALL,
    role="Ana",
    system="You are Ana.",
    user="How much?",
    schema_name="amount",
    prompt_hash="a" * 64,
    sends=1,
    answer=ANSWER,
    value={"amount": 12},
)
DRAW = StepRecord(key=StepKey(2, 1, None, "order"), kind=StepKind.DRAW, value=["Ana", "Ben"])
ORIGIN = {"role": None, "requested": "m", "digest": "d", "connection": "mine", "prices": {"input": 1}}
NOTE = StepRecord(key=ORIGINS, kind=StepKind.NOTE, value=[ORIGIN])
LOG = [CALL, DRAW, NOTE]


def answered(**changes: Any) -> StepRecord:
    return replace(CALL, answer=replace(ANSWER, **changes))


def test_a_line_is_what_it_was() -> None:
    """A change of this form is a change of every published digest: raise ``RESULT_VERSION`` with it."""
    assert line(CALL).decode() == (
        '{"answer":"代理 12","input_tokens":7,"kind":"call","model":"m","outcome":"answered",'
        '"output_tokens":2,"path":"p2/r1/Ana/ballot/amount/try1",'
        f'"prompt_hash":"{"a" * 64}","role":"Ana","schema_name":"amount","unreadable":null,'
        '"value":{"amount":12}}\n'
    )
    assert json.loads(line(NOTE))["value"] == [{"role": None, "requested": "m", "digest": "d"}]


@pytest.mark.parametrize(
    "other",
    [
        replace(CALL, sends=3),
        replace(CALL, system=None, user=None),
        replace(CALL, value={"amount": 12.0}),
        answered(seconds=9.0),
        answered(notes=("schema_unsupported",)),
    ],
)
def test_what_chance_and_the_store_do_does_not_count(other: StepRecord) -> None:
    assert log_digest([other, DRAW, NOTE]) == log_digest(LOG)


def test_neither_the_order_nor_the_connections_count() -> None:
    turned = [CALL, DRAW, replace(NOTE, value=[{**ORIGIN, "connection": "other", "prices": None}])]
    random.Random(1).shuffle(turned)

    assert log_digest(turned) == log_digest(LOG)


@pytest.mark.parametrize(
    "other",
    [
        [replace(CALL, key=CALL.key.at_try(2)), DRAW, NOTE],
        [replace(CALL, role="Ben"), DRAW, NOTE],
        [replace(CALL, schema_name=None), DRAW, NOTE],
        [replace(CALL, prompt_hash="b" * 64), DRAW, NOTE],
        [replace(CALL, value=None), DRAW, NOTE],
        [replace(CALL, unreadable="no_amount"), DRAW, NOTE],
        [replace(CALL, answer=None), DRAW, NOTE],
        [answered(outcome=StepOutcome.REFUSED), DRAW, NOTE],
        [answered(text="代理 13"), DRAW, NOTE],
        [answered(model="n"), DRAW, NOTE],
        [answered(input_tokens=8), DRAW, NOTE],
        [answered(output_tokens=None), DRAW, NOTE],
        [CALL, replace(DRAW, value=["Ben", "Ana"]), NOTE],
        [CALL, replace(DRAW, kind=StepKind.NOTE), NOTE],
        [CALL, DRAW, replace(NOTE, value=[{**ORIGIN, "digest": "e"}])],
        [CALL, DRAW],
    ],
)
def test_everything_else_counts(other: list[StepRecord]) -> None:
    assert log_digest(other) != log_digest(LOG)
