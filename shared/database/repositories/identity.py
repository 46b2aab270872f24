"""Users and their API keys."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from shared.database import direct
from shared.database.models import ApiKey, User
from shared.database.repositories import owned
from shared.errors import NameTakenError, NotFoundError
from shared.schemas.page import Position
from shared.security import keys

_IDENTIFY = text(
    "SELECT k.id, k.key_hash, k.scopes, k.last_used_at, u.id AS user_id, u.name, u.is_admin "
    "FROM api_keys k JOIN users u ON u.id = k.user_id "
    "WHERE k.key_hash = :key_hash AND k.revoked_at IS NULL AND u.disabled_at IS NULL"
)

#: ``last_used_at`` is written at most this often.
USE_PRECISION = timedelta(minutes=1)


class UserNotFoundError(NotFoundError):
    """No such user."""

    code = "user_not_found"
    title = "User not found"


class KeyNotFoundError(NotFoundError):
    """No such API key that this caller may see."""

    code = "key_not_found"
    title = "API key not found"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who a key stands for."""

    user_id: uuid.UUID
    name: str
    is_admin: bool
    key_id: uuid.UUID
    key_hash: bytes
    scopes: frozenset[str]
    last_used_at: datetime | None


async def identify(engine: AsyncEngine, key_hash: bytes) -> Identity | None:
    """Whose key this is, in one indexed look-up; ``None``: unknown, revoked, or its user is disabled."""
    found = (await direct.execute(engine, _IDENTIFY, {"key_hash": key_hash})).first()
    if found is None:
        return None
    key_id, stored_hash, scopes, last_used_at, user_id, name, is_admin = found
    return Identity(
        user_id=user_id,
        name=name,
        is_admin=is_admin,
        key_id=key_id,
        key_hash=stored_hash,
        scopes=frozenset(scopes),
        last_used_at=last_used_at,
    )


async def touch(session: AsyncSession, key_ids: Collection[uuid.UUID]) -> None:
    """Note that these keys were used now."""
    await session.execute(
        update(ApiKey)
        .where(
            ApiKey.id.in_(sorted(key_ids)),
            or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < func.now() - USE_PRECISION),
        )
        .values(last_used_at=func.now())
        .execution_options(synchronize_session=False)
    )


async def create_user(session: AsyncSession, name: str, *, is_admin: bool = False) -> User:
    """Make a user.

    Raises:
        NameTakenError: there is one of that name.
    """
    user = User(name=name, is_admin=is_admin)
    session.add(user)
    try:
        await session.flush()
    except IntegrityError as error:
        raise NameTakenError(
            "there is a user of this name; choose another",
            errors=[{"field": "name", "message": "is taken"}],
        ) from error
    return user


async def get_user(session: AsyncSession, user_id: uuid.UUID, *, lock: bool = False) -> User:
    """A user.

    Raises:
        UserNotFoundError: there is none.
    """
    user = await session.get(User, user_id, with_for_update={"key_share": True} if lock else None)
    if user is None:
        raise UserNotFoundError
    return user


async def list_users(session: AsyncSession, *, limit: int, after: Position | None) -> Sequence[User]:
    """Users, newest first."""
    return await owned.page(session, select(User), User, limit=limit, after=after)


async def create_key(
    session: AsyncSession, user_id: uuid.UUID, name: str, scopes: Sequence[str] = ()
) -> tuple[ApiKey, str]:
    """Make an API key for a user; the second value is the key itself, known only here."""
    made = keys.generate()
    row = ApiKey(
        user_id=user_id, name=name, prefix=made.prefix, key_hash=made.key_hash, scopes=sorted(set(scopes))
    )
    session.add(row)
    await session.flush()
    return row, made.key


async def list_keys(
    session: AsyncSession, user_id: uuid.UUID, *, limit: int, after: Position | None
) -> Sequence[ApiKey]:
    """A user's keys, revoked ones too, newest first."""
    query = select(ApiKey).where(ApiKey.user_id == user_id)
    return await owned.page(session, query, ApiKey, limit=limit, after=after)


async def revoke_key(session: AsyncSession, key_id: uuid.UUID, *, user_id: uuid.UUID | None) -> ApiKey:
    """Revoke a key, of ``user_id`` when one is given; a second time changes nothing.

    Raises:
        KeyNotFoundError: there is none, or it is somebody else's.
    """
    key = await session.get(ApiKey, key_id, with_for_update=True)
    if key is None or (user_id is not None and key.user_id != user_id):
        raise KeyNotFoundError
    if key.revoked_at is None:
        key.revoked_at = await session.scalar(select(func.now()))
    return key
