"""How routes read JSON: strictly, once, and without what could not be stored."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from gateway.problems import WhileReadingError
from shared.errors import ValidationError
from shared.schemas.text import storable

_NUL = b"\\u0000"


class StrictRequest(Request):
    """A request whose JSON is UTF-8 without NaN, halves of surrogate pairs and NUL characters."""

    async def json(self) -> Any:
        """The body.

        Raises:
            json.JSONDecodeError: it is not JSON.
            WhileReadingError: a string in it holds the NUL character, which Postgres cannot keep.
        """
        if not hasattr(self, "_json"):
            body = await self.body()
            # orjson refuses what Python's json lets pass: NaN, lone surrogates, endless nesting.
            self._json = orjson.loads(body)
            if _NUL in body:
                _refuse_nul(self._json, "")
        return self._json


class StrictRoute(APIRoute):
    """A route that is given a :class:`StrictRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of this route."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return handle


def make_router(prefix: str, tag: str) -> APIRouter:
    """A router for a resource; each router of the gateway is made here."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=StrictRoute)


def _refuse_nul(value: Any, path: str) -> None:
    if isinstance(value, str):
        try:
            storable(value)
        except ValueError as error:
            field = path or "body"
            told = ValidationError(f"{field}: {error}", errors=[{"field": field, "message": str(error)}])
            raise WhileReadingError(told) from error
    elif isinstance(value, dict):
        for key, inner in value.items():
            _refuse_nul(key, path)
            _refuse_nul(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _refuse_nul(inner, f"{path}.{index}" if path else str(index))
