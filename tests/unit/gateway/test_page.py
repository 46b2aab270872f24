"""Cursors: opaque, whole after a round trip, and refused when they are not one."""

from __future__ import annotations

import uuid
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.page import Position, decode_cursor, encode_cursor


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_position_survives_its_cursor(at: datetime, row: uuid.UUID) -> None:
    assert Position.from_cursor(Position(at, row).cursor()) == (at, row)


@given(st.text())
def test_text_is_a_cursor_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert Position.from_cursor(text).created_at.tzinfo is not None


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "é",
        encode_cursor("2026-01-01T00:00:00+00:00"),
        encode_cursor("2026-01-01T00:00:00", "788e5b54-2dd8-4bf4-aeeb-32c5ef84caf5"),
        encode_cursor("yesterday", "788e5b54-2dd8-4bf4-aeeb-32c5ef84caf5"),
        encode_cursor("2026-01-01T00:00:00+00:00", "7"),
        "WzEsMl0",
        "e30",
    ],
)
def test_what_is_not_a_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any kind: the edge tells them alike
        Position.from_cursor(cursor)


def test_the_number_of_parts_is_checked() -> None:
    assert decode_cursor(encode_cursor("a", "b"), 2) == ["a", "b"]
    with pytest.raises(ValueError, match="not a cursor"):
        decode_cursor(encode_cursor("a"), 2)
