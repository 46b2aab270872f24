"""`ctx` as a script sees it: values and functions by name; every function is a message to the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workers.sandbox.language.classes import EXCEPTIONS
from workers.sandbox.language.errors import (
    CallFailed,
    GenerationError,
    LimitReached,
    ModulesTooDeepError,
)
from workers.sandbox.language.values import NotPlain, as_records, plain

Call = Callable[[str, list[Any], dict[str, Any]], Any]

_RAISABLE: dict[str, type[Exception]] = {
    **{kind.__name__: kind for kind in EXCEPTIONS if not kind.__name__.startswith("Unicode")},
    "RecursionError": ModulesTooDeepError,
}


#: Values of `ctx` that only some stages have.
_AFTER_ANSWER = frozenset({"ai_response", "response_metadata"})
#: Letters that a name must begin with in common to be thought of.
_CLOSE = 3


class Context:
    """The object behind the name `ctx`; its members are found by the guard of attributes alone."""

    __slots__ = ("_members", "ended")

    def __init__(self, call: Call, functions: Sequence[str], attributes: Mapping[str, Any]) -> None:
        #: What ended the run in a call: a script that goes on after it (`finally: return`) gets it again.
        self.ended: BaseException | None = None
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
            raise AttributeError(f"ctx has no {name!r}: {self._hint(name)}") from None

    def _hint(self, name: str) -> str:
        if name in _AFTER_ANSWER:
            return "it is there after the answer, for modules that are POST_RESPONSE"
        close = sorted((-_alike(word, name), word) for word in self._members if _alike(word, name) >= _CLOSE)
        if not close:
            return "see the list of plugin functions"
        return f"did you mean {', '.join(word for _, word in close[:4])}?"

    def __repr__(self) -> str:
        return "<ctx>"

    def _function(self, call: Call, name: str) -> Callable[..., Any]:
        def function(*args: Any, **kwargs: Any) -> Any:
            if self.ended is not None:
                raise self.ended
            try:
                sent = [plain(value, f"argument {place}") for place, value in enumerate(args, 1)]
                named = {
                    plain(key, "a name"): plain(value, f"argument {key}") for key, value in kwargs.items()
                }
            except NotPlain as exc:
                raise TypeError(f"ctx.{name}: {exc}") from None
            try:
                return as_records(call(name, sent, named))
            except CallFailed as exc:
                seen = _as_seen(exc)
            except Exception:
                raise
            except BaseException as exc:
                seen = exc
            if not isinstance(seen, Exception):
                self.ended = seen
            raise seen

        function.__name__ = function.__qualname__ = name
        return function


def _alike(word: str, name: str) -> int:
    """How many letters two names begin with in common."""
    length = 0
    for ours, theirs in zip(word, name, strict=False):
        if ours != theirs:
            break
        length += 1
    return length


def _as_seen(failure: CallFailed) -> BaseException:
    if failure.type == "LimitError":
        return LimitReached(failure.message)
    if failure.type == "GenerationError":
        head, colon, _ = failure.message.partition(": ")
        code = failure.code or (head if colon and head.isidentifier() else "generation_failed")
        return GenerationError(failure.message, code)
    return _RAISABLE.get(failure.type, RuntimeError)(failure.message)
