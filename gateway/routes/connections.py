"""Provider connections. Secrets come in and never go out."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from fastapi import Response
from pydantic import ValidationError as PydanticValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.dependencies import CallerOf, OnceOf, PagingOf, State
from gateway.outbound import check_address
from gateway.pagination import by_time
from gateway.routing import make_router
from shared.database.models import Connection
from shared.database.repositories import audit, connections
from shared.errors import ValidationError
from shared.schemas.connection import (
    ADDRESS_FIELD,
    ConnectionCreate,
    ConnectionOut,
    ConnectionUpdate,
    check_settings,
    field_errors,
    origin,
    provider_type,
)
from shared.schemas.controls import ProviderType
from shared.schemas.page import Page
from shared.schemas.provider_settings import ProviderSettings, ProviderTimeouts
from shared.security.secrets import SecretBox, SecretUnreadableError

router = make_router("/connections", "connections")


def show(connection: Connection, box: SecretBox) -> ConnectionOut:
    """A connection on the wire: of its secrets only whether and which."""
    readable = True
    try:
        secrets = connections.stored_secrets(connection, box)
    except SecretUnreadableError:  # the row must be seen to be mended
        secrets, readable = {}, False
    return ConnectionOut(
        id=connection.id,
        name=connection.name,
        provider=connection.provider,
        settings=connection.settings,
        api_key_set="api_key" in secrets,
        secrets_readable=readable,
        extra_header_names=sorted(secrets.get("extra_headers", {})),
        is_default=connection.is_default,
        timeouts=ProviderTimeouts.model_validate(connection.timeouts),
        context_length=connection.context_length,
        max_in_flight=connection.max_in_flight,
        prices=connection.prices,
        created_at=connection.created_at,
        updated_at=connection.updated_at,
    )


@router.get("")
async def list_connections(state: State, caller: CallerOf, paging: PagingOf) -> Page[ConnectionOut]:
    """The caller's connections, newest first."""
    async with state.sessions() as session:
        rows = await connections.list_(session, caller.user_id, limit=paging.fetch, after=paging.position())
    return paging.page(rows, lambda row: show(row, state.box), by_time)


@router.post("", status_code=201, response_model=ConnectionOut)
async def create_connection(caller: CallerOf, state: State, once: OnceOf, body: ConnectionCreate) -> Response:
    """Make a connection. The first one is the default, unless it says otherwise."""
    provider = provider_type(body.provider)
    settings = check_settings(provider, body.settings)
    check_address(state, caller, provider, settings, "settings")

    async def make(session: AsyncSession) -> ConnectionOut:
        connection = await connections.create(
            session,
            state.box,
            caller.user_id,
            settings,
            name=body.name,
            provider=provider.value,
            is_default=body.is_default,
            timeouts=body.timeouts.model_dump(exclude_none=True),
            context_length=body.context_length,
            max_in_flight=body.max_in_flight,
            prices=body.prices.model_dump() if body.prices else None,
        )
        audit.record(session, caller.user_id, "connection.created", connection.id, name=connection.name)
        return show(connection, state.box)

    return await once.create(make)


@router.get("/{connection_id}")
async def get_connection(connection_id: uuid.UUID, caller: CallerOf, state: State) -> ConnectionOut:
    """One connection."""
    async with state.sessions() as session:
        return show(await connections.get(session, caller.user_id, connection_id), state.box)


@router.patch("/{connection_id}")
async def update_connection(
    connection_id: uuid.UUID, caller: CallerOf, state: State, body: ConnectionUpdate
) -> ConnectionOut:
    """Change what is sent, merged as RFC 7396 says: ``null`` removes, also inside of ``settings``.

    Secrets that are not sent stay as they are. An address on another host needs them to be sent again, or
    removed: a stored key never goes to a server that it was not entered for.
    """
    changes = body.model_dump(exclude_unset=True)
    async with state.sessions.begin() as session:
        connection = await connections.get(session, caller.user_id, connection_id, lock=True)
        patch = changes.pop("settings", None)
        settings = None if patch is None else _merged_settings(connection, state.box, patch)
        if settings is not None:
            check_address(state, caller, ProviderType(connection.provider), settings, "settings")
        if "timeouts" in changes:
            changes["timeouts"] = _merged_timeouts(connection, changes["timeouts"])
        await connections.update_(session, state.box, connection, changes, settings=settings)
        audit.record(
            session,
            caller.user_id,
            "connection.updated",
            connection.id,
            fields=sorted([*changes, *(f"settings.{name}" for name in patch or ())]),
        )
    return show(connection, state.box)


@router.delete("/{connection_id}", status_code=204)
async def delete_connection(connection_id: uuid.UUID, caller: CallerOf, state: State) -> None:
    """Delete a connection with its secrets; conversations that used it go on with the caller's default."""
    async with state.sessions.begin() as session:
        connection = await connections.get(session, caller.user_id, connection_id, lock=True)
        audit.record(session, caller.user_id, "connection.deleted", connection.id, name=connection.name)
        await connections.remove(session, connection)


def _merged_settings(connection: Connection, box: SecretBox, patch: Mapping[str, Any]) -> ProviderSettings:
    provider = ProviderType(connection.provider)
    try:
        secrets = connections.stored_secrets(connection, box)
    except SecretUnreadableError:
        if "api_key" not in patch:
            raise
        secrets = {}  # entered anew, as the error asks
    headers: dict[str, Any] = secrets.get("extra_headers", {})
    merged = merge({**connection.settings, **secrets}, patch)
    settings = check_settings(provider, merged)
    address = ADDRESS_FIELD[provider]
    if origin(connection.settings[address]) != origin(getattr(settings, address)):
        kept = [] if "api_key" in patch or "api_key" not in secrets else ["api_key"]
        sent = patch.get("extra_headers", {})
        if sent is not None:
            kept += [f"extra_headers.{name}" for name in headers if name not in sent]
        if kept:
            message = "the address changes, so that this must be sent again, or null to remove it"
            raise ValidationError(
                f"settings.{address} leads to another host, and a stored secret is not sent to one that it "
                f"was not entered for: send {', '.join(f'settings.{name}' for name in kept)} again, "
                "or null to remove it",
                errors=[{"field": f"settings.{name}", "message": message} for name in kept],
            )
    return settings


def _merged_timeouts(connection: Connection, patch: Mapping[str, Any]) -> dict[str, Any]:
    try:
        timeouts = ProviderTimeouts.model_validate(merge(connection.timeouts, patch))
    except PydanticValidationError as error:
        raise ValidationError("the timeouts are not valid", errors=field_errors(error, "timeouts")) from None
    return timeouts.model_dump(exclude_none=True)


def merge(stored: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """``stored`` after ``patch`` (RFC 7396): objects are merged, ``null`` removes, all else replaces."""
    merged = dict(stored)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = merge(merged[name], value)
        else:
            merged[name] = merge({}, value) if isinstance(value, dict) else value
    return merged
