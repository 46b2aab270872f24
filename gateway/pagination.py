"""Lists in pages: how many, from where, and the cursor to the next."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Query

from shared.errors import ValidationError
from shared.schemas.page import DEFAULT_LIMIT, MAX_LIMIT, Page, Position, decode_cursor

Row = TypeVar("Row")
Item = TypeVar("Item")
Place = TypeVar("Place")


@dataclass(frozen=True)
class Paging:
    """Which part of a list is wanted."""

    limit: int
    cursor: str | None

    @property
    def fetch(self) -> int:
        """Rows to read: one more than shown tells whether there is a next page."""
        return self.limit + 1

    def position(self) -> Position | None:
        """The place that the cursor names, in a list ordered by (created_at, id).

        Raises:
            ValidationError: it is not a cursor.
        """
        return self._decoded(Position.from_cursor)

    def row_id(self) -> uuid.UUID | None:
        """The row that the cursor names, in a list ordered otherwise.

        Raises:
            ValidationError: it is not a cursor.
        """
        return self._decoded(lambda cursor: uuid.UUID(decode_cursor(cursor, 1)[0]))

    def page(
        self, rows: Sequence[Row], show: Callable[[Row], Item], cursor: Callable[[Row], str]
    ) -> Page[Item]:
        """The page that begins with ``rows``, of which there are up to :attr:`fetch`."""
        shown = rows[: self.limit]
        return Page(
            items=[show(row) for row in shown],
            next_cursor=cursor(shown[-1]) if len(rows) > self.limit else None,
        )

    def _decoded(self, decode: Callable[[str], Place]) -> Place | None:
        if self.cursor is None:
            return None
        try:
            return decode(self.cursor)
        except ValueError as error:
            message = "is not a cursor of this list; take next_cursor of the page before, or leave it out"
            raise ValidationError(
                f"cursor: {message}", errors=[{"field": "cursor", "message": message}]
            ) from error


async def get_paging(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Paging:
    """The query parameters of a list."""
    return Paging(limit, cursor)


def by_time(row: Any) -> str:
    """The cursor behind a row of a list ordered by (created_at, id)."""
    return Position(row.created_at, row.id).cursor()
