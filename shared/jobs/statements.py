"""The SQL of this package, from the files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import TextClause, text

_SQL = Path(__file__).parent / "sql"
_LUA = Path(__file__).parent / "lua"


def sql(name: str) -> str:
    """The text of ``sql/<name>.sql``."""
    return (_SQL / f"{name}.sql").read_text()


def statement(name: str) -> TextClause:
    """The statement in ``sql/<name>.sql``."""
    return text(sql(name))


def script(name: str) -> str:
    """The Lua script in ``lua/<name>.lua``."""
    return (_LUA / f"{name}.lua").read_text()


def as_json(value: Any) -> str | None:
    """``value`` as a parameter for a ``jsonb`` column; ``None`` stays SQL NULL.

    Postgres keeps no NUL: what a provider said loses it, rather than the commit that tells of it.
    """
    if value is None:
        return None
    encoded = orjson.dumps(value)
    if b"\\u0000" in encoded:
        encoded = orjson.dumps(_without_nul(value))
    return encoded.decode()


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nul(inner) for inner in value]
    return value
