"""Time is UTC unless a timezone is given, whatever the machine's is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.unit.sandbox.plugins.calls import call
from workers.sandbox.plugins.errors import CallError
from workers.sandbox.plugins.testing import in_memory_context

#: A Saturday in Auckland, a Friday in UTC.
LATE_FRIDAY = datetime(2026, 3, 6, 23, 30, tzinfo=UTC)


@pytest.fixture(params=["UTC", "Pacific/Auckland"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("machine")
async def test_the_current_time_is_utc_or_of_the_timezone() -> None:
    context = in_memory_context(clock=lambda: LATE_FRIDAY.astimezone(timezone(timedelta(hours=-5))))
    assert await call(context, "get_current_time") == "2026-03-06 23:30"
    assert await call(context, "get_current_time", "%A %H:%M", "Pacific/Auckland") == "Saturday 12:30"
    assert await call(context, "get_current_time", timezone="UTC", format="%H") == "23"
    assert await call(context, "get_day_of_week") == "Friday"
    assert await call(context, "get_day_of_week", False) == "Fri"
    assert await call(context, "get_relative_time", -30) == "23:00"
    assert await call(context, "get_relative_time", 45.5, "%Y-%m-%d %H:%M:%S") == "2026-03-07 00:15:30"
    assert await call(context, "format_timestamp", 0, "%Y-%m-%d %H:%M") == "1970-01-01 00:00"
    assert (
        await call(context, "format_timestamp", 1e9 + 0.5, "%d.%m.%Y %-H Uhr %f") == "09.09.2001 1 Uhr 500000"
    )


@pytest.mark.parametrize(
    ("moment", "hours", "expected"),
    [
        ("2026-03-04T09:00", (), True),
        ("2026-03-04T16:59", (), True),
        ("2026-03-04T17:00", (), False),
        ("2026-03-04T08:59", (), False),
        ("2026-03-07T12:00", (), False),
        ("2026-03-08T12:00", (), False),
        ("2026-03-04T23:00", (22, 6), True),
        ("2026-03-04T05:00", (22, 6), True),
        ("2026-03-04T12:00", (22, 6), False),
        ("2026-03-04T12:00", (12, 12), False),
        ("2026-03-04T23:59", (0, 24), True),
    ],
)
async def test_business_hours(moment: str, hours: tuple[int, ...], expected: bool) -> None:
    context = in_memory_context(clock=lambda: datetime.fromisoformat(moment).replace(tzinfo=UTC))
    assert await call(context, "is_business_hours", *hours) is expected


@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        ("get_current_time", ["%H:%M", "Mars/Olympus"], "no timezone 'Mars/Olympus'"),
        ("get_current_time", ["%H:%M", "../../etc/passwd"], "no timezone"),
        ("get_current_time", ["%H:%M", "Europe"], "no timezone"),
        ("get_current_time", ["%H:%M", "\x00"], "no timezone"),
        ("get_current_time", ["%Q"], "'%Q' is no directive"),
        ("get_current_time", ["%99999999d"], "no directive"),
        ("get_current_time", ["100%"], "write %% for a percent sign"),
        ("get_current_time", ["%H" * 101], "argument format"),
        ("get_current_time", ["%H\x00"], "argument format"),
        ("get_current_time", ["%H\ud800"], "argument format"),
        ("get_relative_time", [10**12], "argument minutes_offset"),
        ("get_relative_time", [float("nan")], "argument minutes_offset"),
        ("is_business_hours", [25], "argument start_hour"),
        ("format_timestamp", [1e20, "%Y"], "argument unix"),
        ("format_timestamp", [float("nan"), "%Y"], "argument unix"),
    ],
)
async def test_what_is_no_time_is_refused(name: str, args: list[Any], said: str) -> None:
    with pytest.raises(CallError) as refused:
        await call(in_memory_context(), name, *args)
    assert refused.value.type == "ValueError"
    assert said in refused.value.message
