"""The SQL of this package, from the files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import TextClause, text

_SQL = Path(__file__).parent / "sql"
_LUA = Path(__file__).parent / "lua"


def statement(name: str) -> TextClause:
    """The statement in ``sql/<name>.sql``."""
    return text((_SQL / f"{name}.sql").read_text())


def script(name: str) -> str:
    """The Lua script in ``lua/<name>.lua``."""
    return (_LUA / f"{name}.lua").read_text()


def as_json(value: Any) -> str | None:
    """``value`` as a parameter for a ``jsonb`` column; ``None`` stays SQL NULL."""
    return None if value is None else orjson.dumps(value).decode()
