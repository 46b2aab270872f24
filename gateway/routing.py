"""How routes read JSON: strictly, once, and without what could not be stored."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NoReturn

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from gateway.problems import WhileReadingError
from shared.errors import ValidationError
from shared.schemas.nesting import MAX_REQUEST_DEPTH, too_deep
from shared.schemas.text import storable

_NUL = b"\\u0000"
#: Characters of a parameter's name that an answer repeats.
MAX_SHOWN = 100


class StrictRequest(Request):
    """A request whose JSON is UTF-8 without NaN, halves of surrogate pairs and NUL characters."""

    async def json(self) -> Any:
        """The body.

        Raises:
            json.JSONDecodeError: it is not JSON.
            WhileReadingError: a string in it holds the NUL character, which Postgres cannot keep, or it is
                nested too deep.
        """
        if not hasattr(self, "_json"):
            body = await self.body()
            # orjson refuses what Python's json lets pass: NaN, lone surrogates, endless nesting.
            self._json = orjson.loads(body)
            if too_deep(body, self._json, MAX_REQUEST_DEPTH):
                _refuse("body", f"must not be nested more than {MAX_REQUEST_DEPTH} levels deep")
            if _NUL in body:
                _refuse_nul(self._json, "")
        return self._json


class StrictRoute(APIRoute):
    """A route given a :class:`StrictRequest`; under ``/api`` only with query parameters that it has."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of this route."""
        handler = super().get_route_handler()
        known = frozenset(_query_parameters(self.dependant))

        async def handle(request: Request) -> Response:
            # Clients of OpenAI and probes of health send what they like.
            if request.scope["path"].startswith("/api/"):
                _refuse_unknown(request, known)
            return await handler(StrictRequest(request.scope, request.receive))

        return handle


def make_router(prefix: str, tag: str) -> APIRouter:
    """A router for a resource; each router of the gateway is made here."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=StrictRoute)


def _query_parameters(dependant: Dependant) -> Iterator[str]:
    """The names of the parameters that a route and what it depends on take from the query."""
    for field in dependant.query_params:
        yield field.alias
    for inner in dependant.dependencies:
        yield from _query_parameters(inner)


def _refuse_unknown(request: Request, known: frozenset[str]) -> None:
    """A misspelt parameter would be lost, and an import that was to be tried out be made."""
    for name in request.query_params:
        if name not in known:
            there = f"there are {', '.join(sorted(known))}" if known else "there are none here"
            message = f"is no query parameter of this request; {there}"
            shown = name[:MAX_SHOWN]
            raise ValidationError(f"{shown}: {message}", errors=[{"field": shown, "message": message}])


def _refuse(field: str, message: str) -> NoReturn:
    told = ValidationError(f"{field}: {message}", errors=[{"field": field, "message": message}])
    raise WhileReadingError(told)


def _refuse_nul(value: Any, path: str) -> None:
    if isinstance(value, str):
        try:
            storable(value)
        except ValueError as error:
            _refuse(path or "body", str(error))
    elif isinstance(value, dict):
        for key, inner in value.items():
            _refuse_nul(key, path)
            _refuse_nul(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _refuse_nul(inner, f"{path}.{index}" if path else str(index))
