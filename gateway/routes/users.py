"""Users and their API keys: administration, and what users may see of themselves."""

from __future__ import annotations

import uuid

from fastapi import Response
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.auth import Caller
from gateway.dependencies import AdminOf, CallerOf, OnceOf, PagingOf, State
from gateway.pagination import by_time
from gateway.routing import make_router
from shared.database.models import ApiKey, User
from shared.database.repositories import audit, connections, identity, seeds
from shared.errors import ParleyError, ValidationError
from shared.schemas.identity import KeyCreate, KeyCreated, KeyOut, UserCreate, UserOut, UserUpdate
from shared.schemas.page import Page

router = make_router("/users", "users")
keys_router = make_router("/keys", "users")


class OwnUserError(ParleyError):
    """An administrator would lock itself out."""

    code = "own_user"
    status = 409
    title = "This is your own user"


def show_user(user: User) -> UserOut:
    """A user on the wire."""
    return UserOut(
        id=user.id,
        name=user.name,
        is_admin=user.is_admin,
        disabled=user.disabled_at is not None,
        created_at=user.created_at,
    )


def show_key(key: ApiKey) -> KeyOut:
    """An API key on the wire, without itself."""
    return KeyOut(
        id=key.id,
        user_id=key.user_id,
        name=key.name,
        prefix=key.prefix,
        scopes=key.scopes,
        created_at=key.created_at,
        last_used_at=key.last_used_at,
        revoked_at=key.revoked_at,
    )


@router.get("/me")
async def me(state: State, caller: CallerOf) -> UserOut:
    """The caller."""
    async with state.sessions() as session:
        return show_user(await identity.get_user(session, caller.user_id))


@router.get("")
async def list_users(state: State, _: AdminOf, paging: PagingOf) -> Page[UserOut]:
    """All users, newest first. For administrators."""
    async with state.sessions() as session:
        rows = await identity.list_users(session, limit=paging.fetch, after=paging.position())
    return paging.page(rows, show_user, by_time)


@router.post("", status_code=201, response_model=UserOut)
async def create_user(admin: AdminOf, state: State, once: OnceOf, body: UserCreate) -> Response:
    """Make a user; keys are made for it next. For administrators."""

    async def make(session: AsyncSession) -> UserOut:
        user = await identity.create_user(session, body.name, is_admin=body.is_admin)
        await connections.ensure_local(session, state.settings, user.id)
        if state.settings.seed_new_users:
            await seeds.plant(session, user.id)
        audit.record(session, admin.user_id, "user.created", user.id, name=user.name, is_admin=user.is_admin)
        return show_user(user)

    return await once.create(make)


@router.patch("/{user_id}")
async def update_user(user_id: uuid.UUID, admin: AdminOf, state: State, body: UserUpdate) -> UserOut:
    """Disable a user, or enable it again. For administrators.

    The keys of a disabled user are refused at once here, and within a second by other gateways.
    """
    if body.disabled and user_id == admin.user_id:
        raise OwnUserError("you cannot disable the user whose key you are using")
    async with state.sessions.begin() as session:
        user = await identity.get_user(session, user_id, lock=True)
        if body.disabled != (user.disabled_at is not None):
            user.disabled_at = await session.scalar(select(func.now())) if body.disabled else None
            audit.record(
                session, admin.user_id, "user.disabled" if body.disabled else "user.enabled", user.id
            )
    state.known_keys.forget()
    return show_user(user)


@router.get("/{user_id}/keys")
async def list_keys(user_id: uuid.UUID, caller: CallerOf, state: State, paging: PagingOf) -> Page[KeyOut]:
    """The keys of a user, revoked ones too, newest first. For administrators, and for the user itself."""
    _own_or_admin(caller, user_id)
    async with state.sessions() as session:
        await identity.get_user(session, user_id)
        rows = await identity.list_keys(session, user_id, limit=paging.fetch, after=paging.position())
    return paging.page(rows, show_key, by_time)


@router.post("/{user_id}/keys", status_code=201, response_model=KeyCreated)
async def create_key(user_id: uuid.UUID, admin: AdminOf, once: OnceOf, body: KeyCreate) -> Response:
    """Make an API key, which is shown in this answer only. For administrators.

    With an ``Idempotency-Key`` the answer is kept encrypted until the key is forgotten, so that it can be
    repeated.
    """

    async def make(session: AsyncSession) -> KeyCreated:
        user = await identity.get_user(session, user_id)
        if "admin" in body.scopes and not user.is_admin:
            message = "admin is for users that are administrators"
            raise ValidationError(f"scopes: {message}", errors=[{"field": "scopes", "message": message}])
        key, value = await identity.create_key(session, user_id, body.name, body.scopes)
        audit.record(
            session,
            admin.user_id,
            "key.created",
            key.id,
            user_id=str(user_id),
            prefix=key.prefix,
            scopes=key.scopes,
        )
        return KeyCreated(**show_key(key).model_dump(), key=value)

    return await once.create(make, sealed=True)


@keys_router.delete("/{key_id}", status_code=204)
async def revoke_key(key_id: uuid.UUID, caller: CallerOf, state: State) -> None:
    """Revoke an API key. Administrators: any; users: their own.

    It is refused from the next request on here, and within a second by other gateways.
    """
    async with state.sessions.begin() as session:
        owner = None if caller.is_admin else caller.user_id
        before = await session.get(ApiKey, key_id)
        fresh = before is not None and before.revoked_at is None
        key = await identity.revoke_key(session, key_id, user_id=owner)
        if fresh:
            audit.record(session, caller.user_id, "key.revoked", key.id, prefix=key.prefix)
    state.known_keys.forget()


def _own_or_admin(caller: Caller, user_id: uuid.UUID) -> None:
    if not caller.is_admin and user_id != caller.user_id:
        raise identity.UserNotFoundError
