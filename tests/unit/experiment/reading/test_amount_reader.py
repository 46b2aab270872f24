"""Amounts: in the number styles of each language, exactly, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.experiment.terms import Language
from workers.experiment.languages.manager import load
from workers.experiment.reading.amount import AmountReader
from workers.experiment.reading.reader import UnreadableError

EN, ES, ZH = Language.ENGLISH, Language.SPANISH, Language.MANDARIN
BOUNDS = (1_000, 10_000_000)


def read(text: str, language: Language) -> int:
    return AmountReader(language, *BOUNDS).read(text)


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize(
    "answer",
    [
        "15000",
        "$15,000",
        "15,000",
        "$15,000.00",
        "US$15,000",
        "15 000",
        "15\u202f000",
        "15k",
        "15K",
        "$15k",
        "15,000 USD",
        "$ 15,000",
        "１５０００",
        "１５，０００",
        "١٥٠٠٠",
        "१५०००",
        "15000.",
        "**$15,000**",
        "15,000 (15000)",
        "$15,000 per year",
        '{"amount": 15000}',
        '{"amount": 15000.0}',
        '{"amount": "15,000"}',
        '{"amount": "$15,000"}',
        '{"amount": 15,000}',
        '```json\n{"amount": 15000}\n```',
        '{"amount": 15000, "why": "20000 is too much"}',
        '{"amount": 15000}{"amount": "15,000"}',
        '{"principle": 3, "amount": 15000}',
        "<think>20000?</think>15000",
        "Principle 3: $15,000",
    ],
)
def test_fifteen_thousand_in_every_language(answer: str, language: Language) -> None:
    assert read(answer, language) == 15_000


@pytest.mark.parametrize(
    ("answer", "language"),
    [
        ("My amount is $15,000.", EN),
        ("I choose a floor of $15,000 because the poor need it.", EN),
        ("At least $15,000", EN),
        (">= 15000", EN),
        ('{"amount": <15000>}', EN),
        ("$15,000 seems fair to me.", EN),
        ("15000 because it covers what everyone needs", EN),
        ("The range should be no more than $15,000", EN),
        ("15 thousand", EN),
        ("15 thousand dollars", EN),
        ("0.015 million", EN),
        ("15.000", ES),
        ("$15.000", ES),
        ("15.000,00", ES),
        ("15,000.00", ES),
        ("15 mil", ES),
        ("15 mil dólares", ES),
        ("Elijo un mínimo de 15.000 dólares", ES),
        ("no menos de 15.000", ES),
        ("al menos 15.000 dólares", ES),
        ("1.5万", ZH),
        ("１．５万", ZH),
        ("1.5万美元", ZH),
        ("15千", ZH),
        ("一万五千", ZH),
        ("一万五千美元", ZH),
        ("一万五", ZH),
        ("1万5千", ZH),
        ("1万5", ZH),
        ("1万5000", ZH),
        ("15000元", ZH),
        ("金额：15,000美元", ZH),
        ("我选择15000美元作为最低收入。", ZH),
        ("不低于15000美元", ZH),
        ('{"金额": "1.5万"}', ZH),
    ],
)
def test_fifteen_thousand_as_each_language_writes_it(answer: str, language: Language) -> None:
    assert read(answer, language) == 15_000


@pytest.mark.parametrize(
    ("answer", "language", "amount"),
    [
        ("1.500.000", ES, 1_500_000),
        ("1,500,000", EN, 1_500_000),
        ("1.5 million", EN, 1_500_000),
        ("1,5 millones", ES, 1_500_000),
        ("12.5k", EN, 12_500),
        ("12,5 mil", ES, 12_500),
        ("二十万", ZH, 200_000),
        ("一百二十万", ZH, 1_200_000),
        ("三千五百", ZH, 3_500),
        ("一万零五百", ZH, 10_500),
        ("十二万三千四百五十六", ZH, 123_456),
        ("两万", ZH, 20_000),
        ("1,500万", ZH, None),
        ("九千", ZH, 9_000),
    ],
)
def test_other_amounts(answer: str, language: Language, amount: int | None) -> None:
    if amount is None:
        with pytest.raises(UnreadableError, match="amount_too_high"):
            read(answer, language)
    else:
        assert read(answer, language) == amount


@pytest.mark.parametrize(
    ("answer", "language", "expected"),
    [
        ("", EN, "empty_response"),
        ("none", EN, "no_amount"),
        ("fifteen thousand", EN, "use_digits_not_words"),
        ("quince mil", ES, "use_digits_not_words"),
        ("at least 15,000 but 20,000 would be better", EN, "multiple_amounts"),
        ("$10,000-$20,000", EN, "multiple_amounts"),
        ("10,000 to 20,000", EN, "multiple_amounts"),
        ("15,000, better twenty thousand", EN, "multiple_amounts"),
        ("15,000 plus 10%", EN, "multiple_amounts"),
        ("15%", EN, "amount_is_percent"),
        ("15 percent", EN, "amount_is_percent"),
        ("15 por ciento", ES, "amount_is_percent"),
        ("百分之15", ZH, "amount_is_percent"),
        ("-15000", EN, "no_negative_amounts"),
        ("−15,000", EN, "no_negative_amounts"),
        ("$-15,000", EN, "no_negative_amounts"),
        ("-$15,000", EN, "no_negative_amounts"),
        ("minus 15,000", EN, "no_negative_amounts"),
        ("负15000", ZH, "no_negative_amounts"),
        ('{"amount": -15000}', EN, "no_negative_amounts"),
        ("0", EN, "amount_must_be_positive"),
        ("$0.00", EN, "amount_must_be_positive"),
        ("15000.5", EN, "whole_numbers_only"),
        ('{"amount": 15000.5}', EN, "whole_numbers_only"),
        ("15.000", EN, "ambiguous_amount"),
        ("15.000,00", EN, "ambiguous_amount"),
        ("1,50,000", EN, "ambiguous_amount"),
        ("15,00", EN, "ambiguous_amount"),
        ("1.500 mil", ES, "ambiguous_amount"),
        ("15 mil", EN, "ambiguous_amount"),
        ("15.000", ZH, "ambiguous_amount"),
        ("1.5e4", EN, "multiple_amounts"),
        ("15000kg", EN, "ambiguous_amount"),
        ("more than 15,000", EN, "ambiguous_amount"),
        ("<15000", EN, "ambiguous_amount"),
        ("15000+", EN, "ambiguous_amount"),
        ("~15000", EN, "ambiguous_amount"),
        ("15,000 people live here", EN, "unclear"),
        ("约15000以上", ZH, "ambiguous_amount"),
        ("999", EN, "amount_too_low"),
        ("3", EN, "amount_too_low"),
        ("15", EN, "amount_too_low"),
        ("10000001", EN, "amount_too_high"),
        ("9" * 29, EN, "amount_too_high"),
        ("9" * 400, EN, "ambiguous_amount"),
        ('{"amount": 1e999999999}', EN, "amount_too_high"),
        ('{"amount": 15000} {"amount": 20000}', EN, "multiple_amounts"),
        ('{"amount": 15.000}', ES, "ambiguous_amount"),
        ('{"amount": 12.500}', EN, "ambiguous_amount"),
        ('{"amount": null}', EN, "no_amount"),
        ('{"amount": true}', EN, "no_amount"),
        ('{"amount": [15000]}', EN, "no_amount"),
        ("€15,000", EN, "wrong_currency"),
        ("15000 euros", ES, "wrong_currency"),
        ("15000元人民币", ZH, "wrong_currency"),
        ("not 15,000", EN, "negated"),
        ("15,000?", EN, "question"),
        ("15,000 if you insist", EN, "conditional"),
        ("Bob proposed a floor of 15,000", EN, "reported"),
        ("People here earn 15,000", EN, "unclear"),
    ],
)
def test_what_is_no_certain_amount_is_refused(answer: str, language: Language, expected: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        read(answer, language)
    assert caught.value.code == expected


@pytest.mark.parametrize("language", Language)
@given(amount=st.integers(*BOUNDS))
def test_an_amount_as_the_prompts_write_it_is_read_back(language: Language, amount: int) -> None:
    assert read(load(language).money(amount), language) == amount
    assert read(str(amount), language) == amount
    assert read(f"{amount:,}", language) == amount
    assert read(f'{{"amount": {amount}}}', language) == amount


@given(text=st.text(alphabet="0123456789.,' $%k-万千一五", max_size=14), language=st.sampled_from(Language))
def test_whatever_is_read_is_within_the_bounds(text: str, language: Language) -> None:
    try:
        amount = read(text, language)
    except UnreadableError:
        return
    assert BOUNDS[0] <= amount <= BOUNDS[1]
