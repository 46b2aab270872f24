"""`str.format` for scripts: fields reach attributes and items by the script's own guards."""

from __future__ import annotations

from _string import formatter_field_name_split  # type: ignore[import-not-found, unused-ignore]
from collections.abc import Callable, Mapping, Sequence
from string import Formatter
from typing import Any

Get = Callable[[Any, Any], Any]


class _GuardedFormatter(Formatter):
    def __init__(self, get_attribute: Get, get_item: Get) -> None:
        self._get_attribute = get_attribute
        self._get_item = get_item

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        first, rest = formatter_field_name_split(field_name)
        value = args[first] if isinstance(first, int) else self._get_item(kwargs, first)
        for is_attribute, name in rest:
            value = self._get_attribute(value, name) if is_attribute else self._get_item(value, name)
        return value, first


def bound_format(text: str, get_attribute: Get, get_item: Get) -> Callable[..., str]:
    """`text.format` as a plain closure (a partial or a bound method would show its parts)."""

    def format(*args: Any, **kwargs: Any) -> str:
        return _GuardedFormatter(get_attribute, get_item).vformat(text, args, kwargs)

    format.__qualname__ = "str.format"
    return format


def bound_format_map(text: str, get_attribute: Get, get_item: Get) -> Callable[[Any], str]:
    """`text.format_map` as a plain closure."""

    def format_map(mapping: Any, /) -> str:
        return _GuardedFormatter(get_attribute, get_item).vformat(text, (), mapping)

    return format_map
