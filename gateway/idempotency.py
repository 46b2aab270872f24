"""``Idempotency-Key``: a request that was answered is not done again, its answer is."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.auth import Caller, get_caller
from gateway.state import GatewayState, get_state
from shared.database.repositories import idempotency
from shared.errors import ValidationError
from shared.security.secrets import KeyedHash


async def get_idempotency_key(
    idempotency_key: Annotated[
        str | None,
        Header(description="Repeat a request with the same key and body to get the same answer, once made."),
    ] = None,
) -> str | None:
    """The header, checked.

    Raises:
        ValidationError: it is empty, too long, or holds other than visible ASCII characters.
    """
    if idempotency_key is None:
        return None
    if not 1 <= len(idempotency_key) <= 255 or not all("!" <= letter <= "~" for letter in idempotency_key):
        message = "must have 1 to 255 visible ASCII characters"
        raise ValidationError(
            f"Idempotency-Key: {message}", errors=[{"field": "Idempotency-Key", "message": message}]
        )
    return idempotency_key


async def request_hash(request: Request, state: GatewayState) -> KeyedHash:
    """Keyed hash of what a request asks for: its query and its JSON body, however spaced and ordered."""
    body = await request.body()
    with suppress(ValueError):  # another kind of body counts byte by byte
        body = orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
    return state.box.keyed_hash(request.scope["query_string"] + b"\n" + body)


@dataclass(frozen=True)
class Once:
    """Makes something once for each ``Idempotency-Key``, and for each request without one."""

    state: GatewayState
    caller: Caller
    route: str
    key: str | None
    body_hash: KeyedHash

    async def replay(self) -> Response | None:
        """The answer that was kept, if this request was answered before; asked before long work.

        Raises:
            IdempotencyKeyReusedError: the key was used with another body.
        """
        if self.key is None:
            return None
        async with self.state.sessions() as session:
            kept = await idempotency.find(session, self.caller.user_id, self.route, self.key, self.body_hash)
        return None if kept is None else self._replayed(kept)

    async def create(
        self,
        make: Callable[[AsyncSession], Awaitable[BaseModel]],
        *,
        status: int = 201,
        sealed: bool = False,
    ) -> Response:
        """Run ``make`` and keep its answer, in one transaction; or give the answer that was kept.

        An answer that is ``sealed`` holds a secret and is kept encrypted.

        Raises:
            IdempotencyKeyReusedError: the key was used with another body.
        """
        async with self.state.sessions.begin() as session:
            if self.key is None:
                return _answer(status, (await make(session)).model_dump(mode="json"))
            owner, route, key = self.caller.user_id, self.route, self.key
            earlier = await idempotency.begin(session, owner, route, key, self.body_hash)
            if earlier is not None:
                return self._replayed(earlier)
            body = (await make(session)).model_dump(mode="json")
            answer: dict[str, Any] = {"status": status, "body": body}
            if sealed:
                token = base64.b64encode(self.state.box.encrypt(body)).decode()
                answer = {"status": status, "sealed": token}
            await idempotency.finish(session, owner, route, key, answer=answer)
        return _answer(status, body)

    def _replayed(self, record: idempotency.Record) -> Response:
        kept = record.answer or {}
        return _answer(kept["status"], self._unsealed(kept), replayed=True)

    def _unsealed(self, answer: dict[str, Any]) -> Any:
        if "sealed" in answer:
            return self.state.box.decrypt(base64.b64decode(answer["sealed"]))
        return answer["body"]


async def get_once(
    request: Request,
    state: Annotated[GatewayState, Depends(get_state)],
    caller: Annotated[Caller, Depends(get_caller)],
    key: Annotated[str | None, Depends(get_idempotency_key)],
) -> Once:
    """For a route that creates something."""
    route = f"{request.method} {request.scope['path']}"[:200]
    return Once(state, caller, route, key, await request_hash(request, state) if key else KeyedHash(b""))


def _answer(status: int, body: Any, *, replayed: bool = False) -> Response:
    headers = {"Idempotent-Replayed": "true"} if replayed else None
    return Response(orjson.dumps(body), status_code=status, media_type="application/json", headers=headers)
