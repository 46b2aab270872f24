"""Which rule of the database a statement broke."""

from __future__ import annotations

from sqlalchemy.exc import IntegrityError


def broken_constraint(error: IntegrityError) -> str | None:
    """Name of the constraint that was violated."""
    name = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    return name if isinstance(name, str) else None
