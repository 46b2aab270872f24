from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidEventIdError
from shared.schemas.events import REBUILT, EventId

numbers = st.integers(1, 10**9 - 1), st.integers(0, 10**12 - 1)


@given(*numbers)
def test_what_is_told_is_read_back(attempt: int, seq: int) -> None:
    one = EventId(attempt, seq)
    assert EventId.parse(str(one)) == one
    assert EventId.parse(f" {one}\r\n") == one


@given(*numbers, *numbers)
def test_ids_are_ordered_as_redis_orders_them(a: int, b: int, c: int, d: int) -> None:
    assert (EventId(a, b) < EventId(c, d)) == ((a, b) < (c, d))
    assert EventId(a, b) < EventId(a, b).successor < EventId(a + 1, 0)


def test_rebuilt_events_come_after_all_others_of_their_attempt() -> None:
    assert EventId(3, REBUILT - 1) < EventId(3, REBUILT) < EventId(4, 0)


@pytest.mark.parametrize(
    "text",
    ["", "1", "1-", "-1", "1-2-3", "0-1", "01-1", "1-01", "+1-1", "1 - 1", "1-1\n2-2", "a-b", "$", "*", "-",
     "1.0-1", "１-１", "1-" + "9" * 13, "9" * 10 + "-1", "1-1\x00"],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(InvalidEventIdError, match="for example 1-17"):
        EventId.parse(text)


@given(st.text(max_size=12))
def test_nothing_else_is_ever_accepted(text: str) -> None:
    try:
        one = EventId.parse(text)
    except InvalidEventIdError:
        return
    assert str(one) == text.strip()
