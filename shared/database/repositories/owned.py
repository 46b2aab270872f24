"""What rows of an owner have in common: found for that owner only, listed in pages, named uniquely."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import JSON, Select, inspect, null, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.base import Base
from shared.database.repositories.conflicts import broken_constraint
from shared.errors import NameTakenError, NotFoundError
from shared.schemas.page import Position

Row = TypeVar("Row", bound=Base)


async def get(
    session: AsyncSession,
    model: type[Row],
    owner_id: uuid.UUID,
    row_id: uuid.UUID,
    missing: type[NotFoundError],
    *,
    lock: bool = False,
) -> Row:
    """The owner's row of that id; with ``lock`` nobody else changes it until the transaction ends.

    Raises:
        NotFoundError: there is none: ``missing``.
    """
    columns = inspect(model).columns
    query = select(model).where(columns["id"] == row_id, columns["owner_id"] == owner_id)
    if lock:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    row = await session.scalar(query)
    if row is None:
        raise missing
    return row


async def page(
    session: AsyncSession, query: Select[Any], model: type[Row], *, limit: int, after: Position | None
) -> Sequence[Row]:
    """The first ``limit`` rows of ``query`` behind ``after``, newest first."""
    columns = inspect(model).columns
    place = columns["created_at"], columns["id"]
    if after is not None:
        query = query.where(tuple_(*place) < tuple_(*after))
    query = query.order_by(*(column.desc() for column in place)).limit(limit)
    rows: Sequence[Row] = (await session.scalars(query)).all()
    return rows


def assign(row: Base, changes: Mapping[str, Any]) -> None:
    """Set fields of a row."""
    columns = inspect(type(row)).columns
    for name, value in changes.items():
        # A plain None in a JSON column would become JSON's null instead of SQL's.
        setattr(row, name, null() if value is None and isinstance(columns[name].type, JSON) else value)


async def flush(session: AsyncSession, noun: str, constraint: str) -> None:
    """Write what has changed, of rows whose names ``constraint`` keeps unique.

    Raises:
        NameTakenError: the owner has another ``noun`` of that name.
    """
    try:
        await session.flush()
    except IntegrityError as error:
        if broken_constraint(error) != constraint:
            raise
        raise NameTakenError(
            f"you have a {noun} of this name; choose another",
            errors=[{"field": "name", "message": "is taken"}],
        ) from error
