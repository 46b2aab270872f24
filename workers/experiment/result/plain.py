"""Values as JSON has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any

from pydantic import BaseModel


def plain(value: Any) -> Any:
    """``value`` as JSON: exact numbers become numbers, enums their values, keys strings.

    A ``Decimal`` becomes an integer when it is whole, else the nearest double. Of an amount in dollars and
    cents nothing is lost by that: below ten million million dollars a double prints as the two decimals that
    it was made from.

    Raises:
        TypeError: JSON has nothing like it.
    """
    # An enum of strings is a string, too: its value is what is wanted.
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (Decimal, Fraction)):
        return int(value) if value == int(value) else float(value)
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, BaseModel):
        return plain(value.model_dump())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no form in JSON.")


def instant(moment: datetime | None) -> str | None:
    """A moment in UTC, as RFC 3339 writes it with microseconds; ``None`` stays ``None``."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
