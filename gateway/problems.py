"""Errors become answers here and nowhere else: problem documents, under ``/v1`` in OpenAI's shape."""

from __future__ import annotations

import http
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import redis.exceptions
import sqlalchemy.exc
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shared.errors import NotReadyError, ParleyError, ValidationError
from shared.schemas.connection import field_path
from shared.schemas.problem import PROBLEM_TYPE, problem
from shared.schemas.template import MAX_NAME, NAME_PATTERN

_OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
}
_HTTP_CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed"}
#: What the clients of Postgres and Redis raise when there is no answer, or none in time.
_UNREACHABLE = (
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.TimeoutError,
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
)
#: Faults that one answer names, and characters of a field's name in it: both are the sender's to make long.
_MAX_FAULTS = 50
_MAX_FIELD = 200
_SENT_BY = ("body", "query", "path", "header", "cookie")


class MalformedJSONError(ParleyError):
    """The body is not JSON."""

    code = "malformed_json"
    status = 400
    title = "The body is not JSON"


class InternalError(ParleyError):
    """Something that nobody expected; only the log tells what."""

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"Something failed that should not have; it was logged with request id {request_id}."
        )


class WhileReadingError(HTTPException):
    """Carries an error out of the framework's reading of a body, which lets nothing else pass unchanged."""

    def __init__(self, told: ParleyError) -> None:
        super().__init__(told.status, detail=told.code)
        self.told = told


class _HTTPError(ParleyError):
    """An error of the framework: an unknown route, a wrong method, a body that is too large."""

    def __init__(self, error: HTTPException) -> None:
        self.error_status = error.status_code
        super().__init__(str(error.detail), headers=error.headers)


def install(app: FastAPI) -> None:
    """Let every error of ``app`` be answered by :func:`error_response`."""
    for kind in (ParleyError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _handle)


async def _handle(request: Request, error: Exception) -> Response:
    return error_response(request.scope["path"], error)


def error_response(path: str, error: Exception) -> Response:
    """The answer to ``error`` in the shape that belongs to ``path``."""
    told = translate(error)
    if is_openai(path):
        return openai_error_response(told)
    return problem_response(told)


def is_openai(path: str) -> bool:
    """Whether ``path`` belongs to the OpenAI-compatible edge."""
    return path == "/v1" or path.startswith("/v1/")


def translate(error: Exception) -> ParleyError:
    """``error`` as one that may be told."""
    if isinstance(error, ParleyError):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error.errors())
    if isinstance(error, WhileReadingError):
        return error.told
    if isinstance(error, HTTPException):
        if error.status_code == 400 and error.detail == "There was an error parsing the body":
            return MalformedJSONError("the body cannot be read as JSON in UTF-8")
        return _HTTPError(error)
    raise TypeError(f"not an error that is told: {type(error).__name__}")


def unexpected(error: Exception, request_id: str) -> ParleyError:
    """What is told of an error that nobody raised on purpose."""
    if isinstance(error, _UNREACHABLE):
        return NotReadyError(
            "a server that Parley stores its data on does not answer; try again", headers={"Retry-After": "1"}
        )
    return InternalError(request_id)


def problem_response(error: ParleyError) -> Response:
    """``error`` as a problem document (RFC 9457)."""
    status, code, title = _status(error), _code(error), _title(error)
    document = problem(
        status=status, code=code, title=title, detail=error.detail, errors=error.errors or None
    )
    return _response(document, status, PROBLEM_TYPE, error.headers)


def openai_error_response(error: ParleyError) -> Response:
    """``error`` as OpenAI's clients expect it; an invalid request is 400 there."""
    status = 400 if _status(error) == 422 else _status(error)
    return _response(openai_error(error), status, "application/json", error.headers)


def openai_error(error: ParleyError) -> dict[str, Any]:
    """The body of :func:`openai_error_response`, which also ends a stream that failed."""
    status = 400 if _status(error) == 422 else _status(error)
    message = error.detail
    if error.errors:
        message += "".join(f"; {fault['field']}: {fault['message']}" for fault in error.errors)
    return {
        "error": {
            "message": message,
            "type": _OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error"),
            "param": error.errors[0]["field"] if error.errors else None,
            "code": _code(error),
        }
    }


def _response(body: dict[str, Any], status: int, media_type: str, headers: Mapping[str, str]) -> Response:
    return Response(orjson.dumps(body), status_code=status, media_type=media_type, headers=dict(headers))


def _status(error: ParleyError) -> int:
    return error.error_status if isinstance(error, _HTTPError) else error.status


def _code(error: ParleyError) -> str:
    if isinstance(error, _HTTPError):
        return _HTTP_CODES.get(error.error_status, "http_error")
    return error.code


def _title(error: ParleyError) -> str:
    if isinstance(error, _HTTPError):
        return http.HTTPStatus(error.error_status).phrase
    return error.title


def _invalid(faults: Sequence[Mapping[str, Any]]) -> ParleyError:
    """What the framework found wrong with a request, without what was sent: it may be a secret."""
    errors = []
    for fault in faults[:_MAX_FAULTS]:
        if fault["type"] == "json_invalid":
            return MalformedJSONError(f"the body is not JSON: {fault['ctx']['error']}")
        loc = tuple(fault["loc"])
        field = field_path(loc[1:] if loc and loc[0] in _SENT_BY else loc)[:_MAX_FIELD] or "body"
        message = str(fault["msg"]).removeprefix("Value error, ")
        if loc == ("body",) and fault["type"] != "value_error":
            message = "must be a JSON object, sent with Content-Type: application/json"
        elif fault["type"] == "extra_forbidden":
            message = "is not a field of this request"
        elif fault["type"] == "missing":
            message = "is missing"
        elif fault["type"] == "too_long" and fault["ctx"]["field_type"] == "Value":
            most, length = fault["ctx"]["max_length"], fault["ctx"]["actual_length"]
            message = f"must have at most {most} characters, and has {length}"
        elif fault["type"] == "string_pattern_mismatch" and fault["ctx"]["pattern"] == NAME_PATTERN:
            message = f"must be a small letter and up to {MAX_NAME - 1} more of a-z, 0-9 and _"
        errors.append({"field": field, "message": message})
    first = errors[0]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return ValidationError(f"{first['field']}: {first['message']}{more}", errors=errors)
