"""Users and their API keys on the wire."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Literal

from pydantic import Field, field_validator

from shared.schemas.base import Wire
from shared.schemas.text import Name

#: What a key may do beyond (``admin``) or instead of (``metrics`` alone) a user's ordinary work.
Scope = Literal["admin", "metrics"]


class UserCreate(Wire):
    """``POST /api/users``."""

    name: Name = Field(max_length=100)
    is_admin: bool = False


class UserUpdate(Wire):
    """``PATCH /api/users/{id}``: the keys of a disabled user are refused at once."""

    disabled: bool


class UserOut(Wire):
    """A user."""

    id: uuid.UUID
    name: str
    is_admin: bool
    disabled: bool
    created_at: datetime


class KeyCreate(Wire):
    """``POST /api/users/{id}/keys``."""

    name: Name = Field("key", max_length=100)
    scopes: list[Scope] = Field(default_factory=list, max_length=2)

    @field_validator("scopes")
    @classmethod
    def _each_once(cls, value: list[Scope]) -> list[Scope]:
        return sorted(set(value))


class KeyOut(Wire):
    """An API key as lists show it: never the key itself."""

    id: uuid.UUID
    user_id: uuid.UUID
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class KeyCreated(KeyOut):
    """A new API key, with the key itself: shown now and never again."""

    key: str
