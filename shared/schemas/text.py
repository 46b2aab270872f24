"""Strings and JSON that can be stored: Postgres keeps no NUL character, UTF-8 no half of a surrogate pair."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, Field


def storable(value: str) -> str:
    """``value``, when it can be stored."""
    if "\x00" in value:
        raise ValueError("must not contain the NUL character (\\u0000)")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("must not contain half of a surrogate pair") from error
    return value


def not_blank(value: str) -> str:
    """``value``, when it says something."""
    if not value.strip():
        raise ValueError("must not be blank")
    return storable(value)


def _name(value: str) -> str:
    value = not_blank(value).strip()
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("must not contain control characters")
    return value


def storable_json(value: Any, _path: str = "") -> Any:
    """``value``, when every string, key and number in it can be stored as ``jsonb``."""
    if isinstance(value, str):
        try:
            storable(value)
        except ValueError as error:
            raise ValueError(f"{error}{_at(_path)}") from error
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"must not contain NaN or an infinite number{_at(_path)}")
    elif isinstance(value, dict):
        for key, inner in value.items():
            storable_json(key, _path)
            storable_json(inner, f"{_path}.{key}" if _path else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if isinstance(inner, str | float | dict | list):
                storable_json(inner, f"{_path}.{index}" if _path else str(index))
    return value


def _at(path: str) -> str:
    return f" (at {path})" if path else ""


#: Text of any kind, blank too.
Text = Annotated[str, AfterValidator(storable)]
#: Text that must say something.
Said = Annotated[str, AfterValidator(not_blank)]
#: A short name of one line, without the spaces around it.
Name = Annotated[str, AfterValidator(_name)]
#: A JSON object that Postgres can keep.
JsonObject = Annotated[dict[str, Any], AfterValidator(storable_json)]
#: The name of a model at its provider.
ModelName = Annotated[str, Field(max_length=200), AfterValidator(_name)]
