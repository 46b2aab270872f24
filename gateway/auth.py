"""Who calls: everything under ``/api`` and ``/v1`` needs an API key, before its body is read.

Two things enforce it: the middleware asks for a key by the path, whatever lies there, and every route below
takes the :class:`Caller` that only the middleware can have put into the request.
"""

from __future__ import annotations

import hmac
import uuid
from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.state import GatewayState
from shared.errors import ParleyError, UnauthorizedError
from shared.logging import log_context
from shared.security import keys

PROTECTED = ("/api", "/v1")
_CALLER = "parley.caller"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who a request comes from.

    Attributes:
        is_admin: it has an administrator's key that was made for administration.
        of_admin: it has an administrator's key, whatever that was made for.
    """

    user_id: uuid.UUID
    name: str
    is_admin: bool
    of_admin: bool
    key_id: uuid.UUID
    scopes: frozenset[str]


class AdminKeyNeededError(ParleyError):
    """The route is for administrators."""

    code = "admin_key_needed"
    status = 403
    title = "An admin key is needed"


class KeyScopeError(ParleyError):
    """The key is good for something else only."""

    code = "key_scope"
    status = 403
    title = "The key is not made for this"


class Authentication:
    """ASGI middleware: puts the :class:`Caller` into requests for protected paths, or refuses them."""

    def __init__(self, app: ASGIApp, state: GatewayState) -> None:
        self.app = app
        self.state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass with its caller, or raise."""
        if scope["type"] not in {"http", "websocket"} or not is_protected(scope["path"]):
            await self.app(scope, receive, send)
            return
        caller = await authenticate(self.state, Headers(scope=scope))
        if caller.scopes == {"metrics"}:
            raise KeyScopeError("this key reads metrics only; use one without that scope")
        scope[_CALLER] = caller
        with log_context(owner=caller.user_id):
            await self.app(scope, receive, send)


def is_protected(path: str) -> bool:
    """Whether a path needs a key."""
    return any(path == prefix or path.startswith(prefix + "/") for prefix in PROTECTED)


async def authenticate(state: GatewayState, headers: Headers) -> Caller:
    """The caller whose key the ``Authorization`` header holds.

    Raises:
        UnauthorizedError: no key, or one that is malformed, unknown, revoked, or of a disabled user.
    """
    scheme, _, key = headers.get("authorization", "").partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key:
        raise UnauthorizedError(
            "send an API key: Authorization: Bearer <key>", headers={"WWW-Authenticate": "Bearer"}
        )
    if len(key) > keys.MAX_KEY:
        raise _refused()
    key_hash = keys.hash_key(key)
    found = await state.known_keys.identify(key_hash)
    if found is None or not hmac.compare_digest(found.key_hash, key_hash):
        raise _refused()
    state.key_uses.note(found.key_id, found.last_used_at)
    return Caller(
        user_id=found.user_id,
        name=found.name,
        is_admin=found.is_admin and "admin" in found.scopes,
        of_admin=found.is_admin,
        key_id=found.key_id,
        scopes=found.scopes,
    )


def _refused() -> UnauthorizedError:
    return UnauthorizedError(
        "this API key is unknown or revoked, or its user is disabled",
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )


async def get_caller(request: Request) -> Caller:
    """The caller, for a route.

    Raises:
        UnauthorizedError: nobody was authenticated: the route lies outside of the protected paths.
    """
    caller = request.scope.get(_CALLER)
    if not isinstance(caller, Caller):
        raise UnauthorizedError(headers={"WWW-Authenticate": "Bearer"})
    return caller


async def get_admin(request: Request) -> Caller:
    """The caller, when it may administrate.

    Raises:
        AdminKeyNeededError: it may not.
    """
    caller = await get_caller(request)
    if not caller.is_admin:
        raise AdminKeyNeededError("this needs the key of an administrator, with scope admin")
    return caller
