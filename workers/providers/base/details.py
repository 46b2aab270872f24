"""What a provider tells of a call besides its answer. It is stored with the message, so it is kept small."""

from __future__ import annotations

from typing import Any

import orjson

from shared.errors import ProviderResponseError
from shared.schemas.nesting import MAX_PROVIDER_DEPTH, too_deep

#: Most characters of a name: a model, a reason, a tool, an id.
MAX_NAME = 200
#: Most bytes of a detail, as JSON.
MAX_DETAIL = 4096
#: Counts of tokens are stored as 32-bit integers.
MAX_TOKENS = 2**31 - 1


def decode(data: bytes) -> Any:
    """The JSON in ``data``.

    Raises:
        orjson.JSONDecodeError: it is not JSON.
        ProviderResponseError: it is nested so deep that it could not be written again.
    """
    value = orjson.loads(data)
    if too_deep(data, value, MAX_PROVIDER_DEPTH):
        raise ProviderResponseError(
            f"the provider's answer is nested more than {MAX_PROVIDER_DEPTH} levels deep"
        )
    return value


def name(value: object) -> str:
    """``value`` as a name, cut when it is too long for one, and without what cannot be stored."""
    return text(str(value)[:MAX_NAME])


def text(value: str) -> str:
    """``value`` without NUL, which Postgres cannot store: what is told must equal what is kept."""
    return value.replace("\x00", "")


def count(value: object) -> int | None:
    """``value`` when it is a count."""
    return value if type(value) is int and value >= 0 else None


def tokens(value: object) -> int | None:
    """``value`` when it is a count of tokens that can be stored."""
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else None


def small(value: object) -> bool:
    """Whether ``value``, decoded from JSON, is small enough to be kept."""
    if value is None or isinstance(value, bool | int | float):
        return True
    if isinstance(value, str):
        return len(value) <= MAX_DETAIL
    return len(orjson.dumps(value)) <= MAX_DETAIL
