"""What the worker asks of a script's process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Answers a call of a ``ctx`` function: name, positional and named arguments, all of JSON types. It runs on
#: the worker's event loop and gives a value of JSON types, or raises
#: :class:`~workers.sandbox.plugins.errors.CallError` for a failure that the script may catch. Anything else
#: that it raises ends the run, and is raised from there.
Serve = Callable[[str, list[Any], dict[str, Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class ScriptRequest:
    """One run of one script."""

    source: str
    #: Values of JSON types that the script reads as ``ctx.<name>``.
    attributes: Mapping[str, Any] = field(default_factory=dict)
    #: The functions that this run may call: any other name ends it.
    functions: Sequence[str] = ()
    #: (owner, module): whose compiled code may be kept and used again. None keeps nothing.
    cache_key: tuple[str, str] | None = None
