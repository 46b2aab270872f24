"""`ctx` as a script sees it: values and functions by name; every function is a message to the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workers.sandbox.language.classes import EXCEPTIONS
from workers.sandbox.language.errors import CallFailed, GenerationError, LimitReached
from workers.sandbox.language.values import NotPlain, as_records, plain

Call = Callable[[str, list[Any], dict[str, Any]], Any]

_RAISABLE = {kind.__name__: kind for kind in EXCEPTIONS if not kind.__name__.startswith("Unicode")}


class Context:
    """The object behind the name `ctx`; its members are found by the guard of attributes alone."""

    __slots__ = ("_members", "limit")

    def __init__(self, call: Call, functions: Sequence[str], attributes: Mapping[str, Any]) -> None:
        #: Why the run is over, once a call has been refused for a limit; a script may not go on after it.
        self.limit: str | None = None
        self._members: dict[str, Any] = {name: as_records(value) for name, value in attributes.items()}
        self._members.update((name, self._function(call, name)) for name in functions)
        self._members["GenerationError"] = GenerationError

    def member(self, name: str) -> Any:
        """A value or a function of `ctx`.

        Raises:
            AttributeError: there is none of this name.
        """
        try:
            return self._members[name]
        except KeyError:
            close = sorted(word for word in self._members if word[:3] == name[:3])
            hint = f"did you mean {', '.join(close[:4])}?" if close else "see the list of plugin functions"
            raise AttributeError(f"ctx has no {name!r}: {hint}") from None

    def __repr__(self) -> str:
        return "<ctx>"

    def _function(self, call: Call, name: str) -> Callable[..., Any]:
        def function(*args: Any, **kwargs: Any) -> Any:
            if self.limit is not None:
                raise LimitReached(self.limit)
            try:
                sent = [plain(value, f"argument {place}") for place, value in enumerate(args, 1)]
                named = {key: plain(value, f"argument {key}") for key, value in kwargs.items()}
            except NotPlain as exc:
                raise TypeError(f"ctx.{name}: {exc}") from None
            try:
                return as_records(call(name, sent, named))
            except CallFailed as exc:
                failure = exc
            if failure.type == "LimitError":
                self.limit = failure.message
            raise _as_seen(failure)

        function.__name__ = function.__qualname__ = name
        return function


def _as_seen(failure: CallFailed) -> BaseException:
    if failure.type == "LimitError":
        return LimitReached(failure.message)
    if failure.type == "GenerationError":
        return GenerationError(failure.message, failure.code or "generation_failed")
    return _RAISABLE.get(failure.type, RuntimeError)(failure.message)
