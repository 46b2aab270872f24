"""How an error is told: RFC 9457 problem documents, and OpenAI's shape under ``/v1``."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

PROBLEM_TYPE = "application/problem+json"


class FieldError(BaseModel):
    """One fault of a request; ``field`` is the path to it (``chat_controls.temperature``).

    A fault of a script tells its place in it; ``line`` and ``column`` count from 1.
    """

    field: str
    message: str
    line: int | None = None
    column: int | None = None


class Problem(BaseModel):
    """A problem document (RFC 9457); ``code`` is the stable name that clients match on."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldError] | None = None


class OpenAIErrorBody(BaseModel):
    """The inside of an OpenAI error."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(BaseModel):
    """An error as OpenAI's clients expect it."""

    error: OpenAIErrorBody


def problem(
    *, status: int, code: str, title: str, detail: str, errors: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """A problem document as a plain dictionary."""
    document: dict[str, Any] = {
        "type": f"urn:parley:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if errors:
        document["errors"] = errors
    return document
