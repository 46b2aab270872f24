"""The scalars of a configuration, as forgiving as YAML needs, and yet exact."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from shared.schemas.experiment.terms import Language, Principle
from shared.schemas.text import storable

#: How people write a language.
LANGUAGE_NAMES: dict[str, Language] = {
    "english": Language.ENGLISH,
    "en": Language.ENGLISH,
    "spanish": Language.SPANISH,
    "es": Language.SPANISH,
    "español": Language.SPANISH,
    "espanol": Language.SPANISH,
    "mandarin": Language.MANDARIN,
    "chinese": Language.MANDARIN,
    "zh": Language.MANDARIN,
    "中文": Language.MANDARIN,
    "普通话": Language.MANDARIN,
}

#: Longest amount, income or length that a configuration may name.
LARGEST = 1_000_000_000


def _language(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    known = LANGUAGE_NAMES.get(value.strip().casefold())
    if known is None:
        raise ValueError("must be English, Spanish or Mandarin (Chinese)")
    return known


def _lower(value: Any) -> Any:
    return value.strip().casefold() if isinstance(value, str) else value


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def _exact(value: Any) -> Any:
    """A number as it is written: 0.1 is one tenth, not the nearest binary fraction."""
    if isinstance(_no_bool(value), int | float):
        return Decimal(str(value))
    if isinstance(value, str):
        try:
            return Decimal(value.strip())
        except InvalidOperation as error:
            raise ValueError("must be a number") from error
    return value


def _switch(value: Any) -> Any:
    """``on`` and ``off`` are booleans in older YAML."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return _lower(value)


def _principle(value: Any) -> Any:
    if isinstance(value, str) and _lower(value) not in {principle.value for principle in Principle}:
        raise ValueError("must be a principle: " + ", ".join(Principle))
    return _lower(value)


def _plain_number(value: Decimal) -> int | float:
    whole = value.to_integral_value()
    return int(whole) if whole == value else float(value)


#: A language by any of its names, in any case.
LanguageName = Annotated[
    Language,
    BeforeValidator(_language),
    WithJsonSchema(
        {
            "type": "string",
            "enum": ["English", "Spanish", "Mandarin", "Chinese", *Language, "chinese"],
        }
    ),
]

#: A whole number; ``true`` is none.
Whole = Annotated[int, BeforeValidator(_no_bool)]

#: A finite number; ``true`` is none.
Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]

#: A number exactly as it was written.
Exact = Annotated[
    Decimal,
    BeforeValidator(_exact),
    Field(allow_inf_nan=False, max_digits=17),
    PlainSerializer(_plain_number, return_type=int | float, when_used="json"),
    WithJsonSchema({"type": "number"}),
]

#: One word out of several, in any case.
Lower = BeforeValidator(_lower)

#: ``auto``, or yes, or no.
Switch = Annotated[Literal["auto", "on", "off"], BeforeValidator(_switch)]

#: A principle by its id.
PrincipleName = Annotated[Principle, BeforeValidator(_principle)]

#: The name of a model, as its provider or the routing reads it.
ModelName = Annotated[
    str,
    Field(min_length=1, max_length=200, pattern=r"^\s*\S(.*\S)?\s*$"),
    AfterValidator(storable),
    AfterValidator(str.strip),
]

#: A connection of the caller, by name or id.
ConnectionName = Annotated[
    str,
    Field(min_length=1, max_length=200, pattern=r"^\s*\S(.*\S)?\s*$"),
    AfterValidator(storable),
    AfterValidator(str.strip),
]
