"""Provider connections: which one a caller means, and its settings with their secrets."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import exists, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from shared.database.models import Connection, User
from shared.database.repositories import owned
from shared.errors import ConnectionNotFoundError
from shared.schemas.connection import SECRET_FIELDS
from shared.schemas.page import Position
from shared.schemas.provider_settings import LOCAL_MODEL_URL, OpenAISettings, ProviderSettings
from shared.security.secrets import SecretBox
from shared.settings import Settings

#: Name of the connection to the model that runs on this machine.
LOCAL = "local"


async def get(
    session: AsyncSession, owner_id: uuid.UUID, connection_id: uuid.UUID, *, lock: bool = False
) -> Connection:
    """A connection of the owner; with ``lock`` nobody else changes it until the transaction ends.

    Raises:
        ConnectionNotFoundError: there is none.
    """
    if lock:
        await _lock_owner(session, owner_id)
    return await owned.get(session, Connection, owner_id, connection_id, ConnectionNotFoundError, lock=lock)


async def resolve(
    session: AsyncSession, owner_id: uuid.UUID, connection_id: uuid.UUID | None = None
) -> Connection | None:
    """The connection that a request means: the named one, else the default, else ``local``, else none.

    Raises:
        ConnectionNotFoundError: the named one is not the owner's.
    """
    if connection_id is not None:
        return await get(session, owner_id, connection_id)
    found: Connection | None = await session.scalar(
        select(Connection)
        .where(
            Connection.owner_id == owner_id,
            or_(Connection.is_default, Connection.name == LOCAL),
        )
        .order_by(Connection.is_default.desc())
        .limit(1)
    )
    return found


async def list_(
    session: AsyncSession, owner_id: uuid.UUID, *, limit: int, after: Position | None = None
) -> Sequence[Connection]:
    """The owner's connections, newest first."""
    query = select(Connection).where(Connection.owner_id == owner_id)
    return await owned.page(session, query, Connection, limit=limit, after=after)


async def create(
    session: AsyncSession,
    box: SecretBox,
    owner_id: uuid.UUID,
    settings: ProviderSettings,
    *,
    is_default: bool | None = None,
    **values: Any,
) -> Connection:
    """Make a connection; the first that an owner makes is the default unless ``is_default`` says no.

    Raises:
        NameTakenError: the owner has one of that name.
    """
    await _lock_owner(session, owner_id)
    if is_default is None:
        is_default = not await session.scalar(
            select(
                exists().where(
                    Connection.owner_id == owner_id,
                    or_(
                        Connection.is_default,
                        Connection.name != LOCAL,
                    ),
                )
            )
        )
    if is_default:
        await _clear_default(session, owner_id)
    public, secrets = split(settings)
    connection = Connection(
        owner_id=owner_id,
        settings=public,
        secrets=box.encrypt(secrets) if secrets else None,
        is_default=is_default,
        **{name: value for name, value in values.items() if value is not None},
    )
    session.add(connection)
    await _flush(session)
    return connection


async def update_(
    session: AsyncSession,
    box: SecretBox,
    connection: Connection,
    changes: Mapping[str, Any],
    *,
    settings: ProviderSettings | None = None,
) -> None:
    """Change fields of a locked connection, and its settings as a whole when they are given.

    Raises:
        NameTakenError: the owner has another one of that name.
    """
    if changes.get("is_default"):
        await _clear_default(session, connection.owner_id)
    owned.assign(connection, changes)
    if settings is not None:
        public, secrets = split(settings)
        connection.settings = public
        connection.secrets = box.encrypt(secrets) if secrets else None
    await _flush(session)
    await session.refresh(connection)


async def remove(session: AsyncSession, connection: Connection) -> None:
    """Delete a connection; conversations that used it fall back to their owner's default."""
    await session.delete(connection)
    await session.flush()


def split(settings: ProviderSettings) -> tuple[dict[str, Any], dict[str, Any]]:
    """``settings`` as what may be shown, and what must be encrypted (empty when there is nothing)."""
    public = settings.model_dump(mode="json", exclude=set(SECRET_FIELDS), exclude_none=True)
    secrets: dict[str, Any] = {}
    if settings.api_key is not None:
        secrets["api_key"] = settings.api_key.get_secret_value()
    if settings.extra_headers:
        secrets["extra_headers"] = dict(settings.extra_headers)
    return public, secrets


def stored_secrets(connection: Connection, box: SecretBox) -> dict[str, Any]:
    """The secret settings of a connection: ``api_key`` and ``extra_headers``, where they are set.

    Raises:
        SecretUnreadableError: they were encrypted with another key.
    """
    return box.decrypt(connection.secrets) if connection.secrets else {}


_ENSURE_LOCAL = text(
    """
    INSERT INTO connections
        (id, owner_id, name, provider, settings, is_default, timeouts, context_length, max_in_flight)
    SELECT gen_random_uuid(), users.id, :name, 'openai', CAST(:settings AS jsonb), false, '{}'::jsonb,
           :context_length, :max_in_flight
    FROM users
    WHERE (CAST(:user_id AS uuid) IS NULL OR users.id = :user_id)
      AND NOT EXISTS (SELECT FROM connections WHERE connections.owner_id = users.id)
    ON CONFLICT DO NOTHING
    """
)


#: The model has one name, and its server is asked for no other: a connection from before would be refused.
_RENAME_LOCAL = text(
    """
    UPDATE connections SET settings = jsonb_set(settings, '{model}', to_jsonb(CAST(:model AS text)))
    WHERE settings ->> 'base_url' = :address AND settings ->> 'model' <> :model
      AND (CAST(:user_id AS uuid) IS NULL OR owner_id = :user_id)
    """
)


async def ensure_local(session: AsyncSession, settings: Settings, user_id: uuid.UUID | None = None) -> None:
    """Give a user, or every user, who has no connection one to the model of this machine, if there is one,
    and let those that lead to it name the model that is there now.
    """
    if settings.local_model_url is None:
        return
    public, _ = split(OpenAISettings(base_url=LOCAL_MODEL_URL, model=settings.local_model_name))
    await session.execute(
        _ENSURE_LOCAL,
        {
            "name": LOCAL,
            "settings": orjson.dumps(public).decode(),
            "context_length": settings.local_model_context,
            "max_in_flight": settings.local_model_slots,
            "user_id": user_id,
        },
    )
    await session.execute(
        _RENAME_LOCAL,
        {"model": settings.local_model_name, "address": LOCAL_MODEL_URL, "user_id": user_id},
    )


async def ensure_local_for_all(engine: AsyncEngine, settings: Settings) -> None:
    """:func:`ensure_local` for every user, in its own transaction; any number of processes may call it."""
    async with AsyncSession(engine) as session, session.begin():
        await ensure_local(session, settings)


async def _lock_owner(session: AsyncSession, owner_id: uuid.UUID) -> None:
    """Let changes of one owner's connections happen one after the other, and before any lock on a row.

    Switching the default changes two rows: without one lock for all, two switches would deadlock.
    """
    await session.execute(select(User.id).where(User.id == owner_id).with_for_update(key_share=True))


async def _clear_default(session: AsyncSession, owner_id: uuid.UUID) -> None:
    await session.execute(
        update(Connection)
        .where(Connection.owner_id == owner_id, Connection.is_default)
        .values(is_default=False)
    )


async def _flush(session: AsyncSession) -> None:
    await owned.flush(session, "connection", "uq_connections_owner_id_name")
