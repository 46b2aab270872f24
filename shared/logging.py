"""Structured logs: one line an event, the same fields in every process, and no secret in any of them."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson
import pydantic

from shared.settings import Settings

#: Fields that stand on every line, ``null`` where they do not apply.
CONTEXT_FIELDS = ("session_id", "attempt", "owner")

_context: ContextVar[Mapping[str, Any]] = ContextVar("parley_log_context", default={})  # noqa: B039 - never changed

_SECRETS = (
    (re.compile(r"(parley_[A-Za-z0-9]{8})_[A-Za-z0-9_-]{20,}"), r"\1_[redacted]"),
    (re.compile(r"(?i)\b(bearer|basic)(?:\s+|%20)[A-Za-z0-9._~+/=-]{12,}"), r"\1 [redacted]"),
    (re.compile(r"\bsk-[A-Za-z0-9_-]{12,}"), "sk-[redacted]"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s/:@\"']*):[^\s/@\"']+@"), r"\1:[redacted]@"),
    (
        re.compile(
            r"(?i)((?:api[_-]?key|secret[_-]?key|password|authorization)[\"']?\s*[:=]\s*[\"']?)[^\s\"',}&]{4,}"
        ),
        r"\1[redacted]",
    ),
)

#: Attributes of every record; what else a record has came with ``extra`` and is printed.
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message",
    "asctime",
    "color_message",
    "taskName",
}


@contextmanager
def log_context(**fields: Any) -> Iterator[None]:
    """Put ``fields`` on every line that is logged inside; values are printed as text."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def redact(text: str) -> str:
    """``text`` without what looks like a key, a token or a password."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def configure_logging(settings: Settings, *, service: str) -> None:
    """Send every logger of this process to standard error, as ``service``, in the format of the settings."""
    formatter = JsonFormatter(service) if settings.log_format == "json" else ConsoleFormatter(service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for noisy in ("httpx", "httpcore", "aiohttp", "alembic", "sqlalchemy", "python_multipart", "asyncio"):
        # Their INFO and DEBUG lines hold addresses, statements and parts of bodies.
        logging.getLogger(noisy).setLevel(logging.WARNING)


class _Formatter(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """The record's own fields over those of its context."""
        found: dict[str, Any] = dict.fromkeys(CONTEXT_FIELDS)
        found.update(_context.get())
        found.update({name: value for name, value in record.__dict__.items() if name not in _STANDARD})
        return {name: _plain(value) for name, value in found.items()}


class JsonFormatter(_Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """``record`` as JSON, redacted."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self.service,
            "logger": record.name,
            "message": redact(record.getMessage()),
            **self.fields(record),
        }
        if record.exc_info and record.exc_info[1]:
            line["exception"] = redact(describe(record.exc_info[1]))
        return orjson.dumps(line).decode()


class ConsoleFormatter(_Formatter):
    """One readable line, for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """``record`` as text, redacted."""
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        fields = " ".join(
            f"{name}={value}" for name, value in self.fields(record).items() if value is not None
        )
        line = f"{time} {record.levelname:<7} {self.service:<8} {redact(record.getMessage())}"
        if fields:
            line += f"  [{fields}]"
        if record.exc_info and record.exc_info[1]:
            line += "\n" + redact(describe(record.exc_info[1]))
        return line


def describe(error: BaseException) -> str:
    """The trace of ``error`` and of what caused it, without the values that some errors carry.

    Errors of the database quote parameters and rows, those of validation quote the input: of these only the
    type and the place are told.
    """
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        trace = "".join(traceback.format_tb(current.__traceback__))
        parts.append(f"{trace}{type(current).__module__}.{type(current).__qualname__}: {_message(current)}")
        if isinstance(current, BaseExceptionGroup):
            parts.extend(describe(inner) for inner in current.exceptions)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\ncaused by:\n".join(parts)


def _message(error: BaseException) -> str:
    module = type(error).__module__.partition(".")[0]
    if module in {"sqlalchemy", "psycopg"}:
        cause = getattr(error, "orig", None) or error
        state = getattr(cause, "sqlstate", None)
        constraint = getattr(getattr(cause, "diag", None), "constraint_name", None)
        return f"[sqlstate {state}, constraint {constraint}]"
    if isinstance(error, pydantic.ValidationError):
        places = [".".join(str(part) for part in fault["loc"]) for fault in error.errors(include_input=False)]
        return f"[{error.error_count()} validation errors at {', '.join(places)}]"
    if module == "fastapi" and hasattr(error, "errors"):
        return f"[{len(error.errors())} validation errors]"
    return str(error)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))
