"""Time, in UTC unless a timezone is given."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field

from shared.schemas.text import storable
from workers.sandbox.plugins.context import PluginContext
from workers.sandbox.plugins.errors import CallError
from workers.sandbox.plugins.registry import plugin_function

#: A pattern of ``strftime``. Its output is at most 256 times as long.
Format = Annotated[str, Field(max_length=200)]
Hour = Annotated[int, Field(ge=0, le=24)]
#: A hundred years, in minutes.
Minutes = Annotated[float, Field(ge=-52_560_000, le=52_560_000)]

_DIRECTIVE = re.compile(r"%(?!-?[aAbBcdDeFGHIjmMpPrRSTuUVwWxXyYzZfh%])")
_SATURDAY = 5


@plugin_function(category="time")
def get_current_time(
    context: PluginContext, format: Format = "%Y-%m-%d %H:%M", timezone: str | None = None
) -> str:
    """The time now, in UTC or in an IANA timezone such as ``Europe/Berlin``.

    ``format`` is a pattern of ``strftime``.
    """
    now = context.now().astimezone(_zone("get_current_time", timezone))
    return _formatted("get_current_time", now, format)


@plugin_function(category="time")
def get_relative_time(context: PluginContext, minutes_offset: Minutes = 0, format: Format = "%H:%M") -> str:
    """The time in UTC so many minutes from now; before now when negative."""
    then = context.now() + timedelta(minutes=minutes_offset)
    return _formatted("get_relative_time", then, format)


@plugin_function(category="time")
def is_business_hours(context: PluginContext, start_hour: Hour = 9, end_hour: Hour = 17) -> bool:
    """Whether it is Monday to Friday and the hour in UTC is from ``start_hour`` up to ``end_hour``.

    ``end_hour`` itself is outside. With ``start_hour`` after ``end_hour`` the hours go over midnight.
    """
    now = context.now()
    if now.weekday() >= _SATURDAY:
        return False
    if start_hour <= end_hour:
        return start_hour <= now.hour < end_hour
    return now.hour >= start_hour or now.hour < end_hour


@plugin_function(category="time")
def get_day_of_week(context: PluginContext, full_name: bool = True) -> str:
    """The day of the week in UTC: ``Monday``, or ``Mon`` without ``full_name``."""
    return context.now().strftime("%A" if full_name else "%a")


@plugin_function(category="time")
def format_timestamp(context: PluginContext, unix: float, format: Format) -> str:
    """The time in UTC that is ``unix`` seconds after 1970-01-01, by a pattern of ``strftime``."""
    del context
    try:
        moment = datetime.fromtimestamp(unix, UTC)
    except (ValueError, OverflowError, OSError):
        raise CallError(
            "ValueError",
            f"format_timestamp(): argument unix: {unix!r} is no time of the years 1 to 9999; give seconds "
            "since 1970-01-01 UTC",
        ) from None
    return _formatted("format_timestamp", moment, format)


def _zone(function: str, name: str | None) -> tzinfo:
    if name is None:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CallError(
            "ValueError",
            f"{function}(): argument timezone: there is no timezone {name[:60]!r}; use an IANA name such as "
            "'Europe/Berlin', or leave it out for UTC",
        ) from None


def _formatted(function: str, moment: datetime, pattern: str) -> str:
    unknown = _DIRECTIVE.search(pattern)
    if unknown is not None:
        raise CallError(
            "ValueError",
            f"{function}(): argument format: {pattern[unknown.start() : unknown.start() + 3]!r} is no "
            "directive of strftime; write %% for a percent sign",
        )
    try:
        return moment.strftime(storable(pattern))
    except ValueError as error:
        raise CallError("ValueError", f"{function}(): argument format: {error}; use plain text") from None
