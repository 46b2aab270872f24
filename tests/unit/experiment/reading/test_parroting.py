"""A small model that repeats its question has not answered it."""

from __future__ import annotations

from typing import Any

import pytest

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Language
from workers.experiment.languages.catalogues import read_catalogue
from workers.experiment.reading.agreement import AgreementReader
from workers.experiment.reading.amount import AmountReader
from workers.experiment.reading.choice import BallotReader, ChoiceReader
from workers.experiment.reading.comprehension import ComprehensionReader
from workers.experiment.reading.principle import PrincipleReader
from workers.experiment.reading.ranking import RankingReader
from workers.experiment.reading.reader import Reader, UnreadableError

#: Texts in which an agent is asked for something, or told what its answer should be like.
ASKING = (
    "voting.initiation",
    "voting.confirmation",
    "voting.ballot.",
    "voting.correction.",
    "reading.",
    "phase1.",
)


@pytest.mark.parametrize("language", Language)
def test_no_question_is_read_as_an_answer_to_it(language: Language) -> None:
    readers: list[Reader[Any]] = [
        PrincipleReader(FOUR_PRINCIPLES, language),
        BallotReader(FOUR_PRINCIPLES, language),
        ChoiceReader(FOUR_PRINCIPLES, language),
        AmountReader(language),
        AgreementReader(),
        RankingReader(),
        ComprehensionReader(4, 4),
    ]
    asked = {key: text for key, text in read_catalogue(language).items() if key.startswith(ASKING)}
    assert len(asked) > 50
    read = []
    for key, text in asked.items():
        for reader in readers:
            try:
                read.append((key, reader.name, reader.read(text)))
            except UnreadableError:
                continue
    assert read == []
