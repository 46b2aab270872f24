"""`statistics` for scripts: of plain numbers and words alone.

The real functions build their answer by calling the type of what they were given.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from workers.sandbox.language.words import words

_NUMBERS = words(
    """
    correlation covariance fmean geometric_mean harmonic_mean linear_regression mean median median_grouped
    median_high median_low pstdev pvariance quantiles stdev variance
    """
)
#: These count what they are given, and need no numbers.
_ANYTHING = words("mode multimode")


def _plain(name: str, types: tuple[type, ...], what: str) -> Callable[..., Any]:
    real = getattr(statistics, name)

    def checked(value: Any) -> Any:
        if value is None or type(value) in (int, float, str, bool):
            return value
        data = list(value)
        if any(type(part) not in types for part in data):
            raise TypeError(f"statistics.{name} needs {what}")
        return data

    def function(*args: Any, **kwargs: Any) -> Any:
        named = {key: checked(value) for key, value in kwargs.items()}
        return real(*(checked(value) for value in args), **named)

    function.__name__ = function.__qualname__ = name
    return function


MEMBERS: dict[str, Any] = {
    **{name: _plain(name, (int, float, bool), "numbers") for name in _NUMBERS},
    **{name: _plain(name, (int, float, bool, str), "numbers or strings") for name in _ANYTHING},
    "StatisticsError": statistics.StatisticsError,
}
