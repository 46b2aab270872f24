"""Lists come in pages, newest first."""

from __future__ import annotations

import base64
import binascii
import uuid
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

import orjson
from pydantic import BaseModel

MAX_LIMIT = 200
DEFAULT_LIMIT = 50

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """One page; ``next_cursor`` leads to the next, ``null`` says that this is the last."""

    items: list[Item]
    next_cursor: str | None


class Position(NamedTuple):
    """A place in a list ordered by (created_at, id); rows inserted meanwhile do not move it."""

    created_at: datetime
    id: uuid.UUID

    def cursor(self) -> str:
        """The place as the opaque text that clients send back."""
        return encode_cursor(self.created_at.isoformat(), str(self.id))

    @classmethod
    def from_cursor(cls, cursor: str) -> Position:
        """The place that :meth:`cursor` told.

        Raises:
            ValueError: ``cursor`` is not one.
        """
        at, row = decode_cursor(cursor, 2)
        place = cls(datetime.fromisoformat(at), uuid.UUID(row))
        if place.created_at.tzinfo is None:
            raise ValueError("a time without a zone")
        return place


def encode_cursor(*parts: str) -> str:
    """``parts`` as opaque text."""
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def decode_cursor(cursor: str, count: int) -> list[str]:
    """What :func:`encode_cursor` was given, ``count`` parts.

    Raises:
        ValueError: ``cursor`` is not one.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        parts = orjson.loads(base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True))
    except (binascii.Error, UnicodeEncodeError, orjson.JSONDecodeError) as error:
        raise ValueError("not a cursor") from error
    if not isinstance(parts, list) or len(parts) != count or not all(isinstance(p, str) for p in parts):
        raise ValueError("not a cursor")
    return parts
