"""Money, names and terms as each language writes them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from shared.schemas.experiment.terms import Certainty, IncomeClass, Language, Principle
from workers.experiment.languages.manager import load

EN, ES, ZH = Language


@pytest.mark.parametrize(
    ("language", "dollars", "written"),
    [
        (EN, 15_000, "$15,000"),
        (EN, Decimal("1.5"), "$1.50"),
        (EN, Decimal("1234.565"), "$1,234.57"),
        (EN, Decimal("-0.5"), "-$0.50"),
        (EN, 0, "$0"),
        (ES, 15_000, "$15.000"),
        (ES, Decimal("1234.5"), "$1.234,50"),
        (ES, -20, "-$20"),
        (ZH, 15_000, "15,000美元"),
        (ZH, Decimal("2.1"), "2.10美元"),
    ],
)
def test_money(language: Language, dollars: int | Decimal, written: str) -> None:
    assert load(language).money(dollars) == written


@pytest.mark.parametrize(
    ("language", "names", "written"),
    [
        (EN, [], ""),
        (EN, ["Ann"], "Ann"),
        (EN, ["Ann", "Bob"], "Ann and Bob"),
        (EN, ["Ann", "Bob", "{name}"], "Ann, Bob and {name}"),
        (ES, ["Ana", "Luis", "Eva"], "Ana, Luis y Eva"),
        (ZH, ["安", "博", "陈"], "安、博和陈"),
    ],
)
def test_names(language: Language, names: list[str], written: str) -> None:
    assert load(language).names(names) == written


@pytest.mark.parametrize("language", Language)
def test_every_term_has_a_name_of_its_own(language: Language) -> None:
    text = load(language)
    for terms in (
        [text.principle(principle) for principle in Principle],
        [text.certainty(certainty) for certainty in Certainty],
        [text.income_class(income_class) for income_class in IncomeClass],
    ):
        assert len(set(terms)) == len(terms)
