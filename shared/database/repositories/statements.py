"""The SQL of this package, from the files beside it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import TextClause, text

_SQL = Path(__file__).parent / "sql"


def statement(name: str) -> TextClause:
    """The statement in ``sql/<name>.sql``."""
    return text((_SQL / f"{name}.sql").read_text())
