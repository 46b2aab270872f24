"""The first administrator, from a key that the operator chose or ``parley up`` made."""

from __future__ import annotations

import hmac

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from shared.database.advisory_locks import AdvisoryLock
from shared.database.models import ApiKey, User
from shared.database.repositories import audit, seeds
from shared.security import keys

#: Name of the user that the key belongs to.
ADMIN = "admin"
#: Name of its key.
BOOTSTRAP_KEY = "bootstrap"
#: Fewest characters that a chosen key may have.
MIN_KEY = 16


class AdminKeyError(Exception):
    """``PARLEY_ADMIN_KEY`` cannot be used: a fault of the configuration, told when a process starts."""


async def ensure_admin(engine: AsyncEngine, key: str, *, seed: bool = True) -> None:
    """Let ``key``, and no older bootstrap key, open everything as the user ``admin``.

    The setting is the truth: the key is valid again after each start, even if it was revoked meanwhile; to be
    rid of it, change the setting. Any number of processes may call this at once. With ``seed`` the user finds
    what every new one does.

    Raises:
        AdminKeyError: the key is too short or too long, has spaces or unprintable characters, or is the key
            of another user.
    """
    if not MIN_KEY <= len(key) <= keys.MAX_KEY or not key.isascii() or not key.isprintable() or " " in key:
        raise AdminKeyError(
            f"PARLEY_ADMIN_KEY must have {MIN_KEY} to {keys.MAX_KEY} printable ASCII characters and no space"
        )
    key_hash = keys.hash_key(key)
    async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
        await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": AdvisoryLock.BOOTSTRAP})
        made = insert(User).values(name=ADMIN, is_admin=True).on_conflict_do_nothing().returning(User.id)
        fresh = await session.scalar(made)
        if fresh is not None and seed:
            await seeds.plant(session, fresh)
        user = (await session.scalars(select(User).where(User.name == ADMIN).with_for_update())).one()
        if not user.is_admin or user.disabled_at is not None:
            user.is_admin, user.disabled_at = True, None
            audit.record(session, None, "user.enabled", user.id, by="PARLEY_ADMIN_KEY")
        found = await session.scalar(select(ApiKey).where(ApiKey.key_hash == key_hash))
        if found is not None and (found.user_id != user.id or "admin" not in found.scopes):
            raise AdminKeyError("PARLEY_ADMIN_KEY is in use as another API key; choose another")
        older = await session.scalars(
            select(ApiKey).where(
                ApiKey.user_id == user.id, ApiKey.name == BOOTSTRAP_KEY, ApiKey.revoked_at.is_(None)
            )
        )
        now = await session.scalar(select(func.now()))
        for row in older:
            if not hmac.compare_digest(row.key_hash, key_hash):
                row.revoked_at = now
                audit.record(session, None, "key.revoked", row.id, by="PARLEY_ADMIN_KEY")
        if found is None:
            found = ApiKey(
                user_id=user.id,
                name=BOOTSTRAP_KEY,
                prefix=keys.prefix_of(key),
                key_hash=key_hash,
                scopes=["admin"],
            )
            session.add(found)
            await session.flush()
            audit.record(session, None, "key.created", found.id, by="PARLEY_ADMIN_KEY")
        elif found.revoked_at is not None:
            found.revoked_at = None
            audit.record(session, None, "key.restored", found.id, by="PARLEY_ADMIN_KEY")
