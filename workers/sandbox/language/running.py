"""One run of compiled code: what it published, what it printed, how it failed."""

from __future__ import annotations

import re
import types
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workers.sandbox.language.compiler import SCRIPT_FILE
from workers.sandbox.language.context import Call, Context
from workers.sandbox.language.errors import LimitReached, ModulesTooDeepError
from workers.sandbox.language.facades import Facade, Imports
from workers.sandbox.language.names import starting_names
from workers.sandbox.language.output import Printed
from workers.sandbox.language.values import NotPlain, plain, storable

_MESSAGE_LIMIT = 2_000
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a run failed. `type` is the exception's name."""

    type: str
    message: str
    line: int | None = None
    #: Set when a limit ended the run: "output", or "call" for one of the host's (`type`: "LimitError"),
    #: or "recursion" (`type`: "RecursionError").
    limit: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left: variables only if it succeeded, what it printed in any case."""

    variables: dict[str, Any]
    printed: str
    error: Fault | None = None
    #: Public names that JSON cannot hold, and why.
    omitted: dict[str, str] = field(default_factory=dict)


def run_script(
    code: types.CodeType,
    *,
    call: Call,
    functions: Sequence[str],
    attributes: Mapping[str, Any],
    output_limit: int,
) -> Outcome:
    """Run code that `compile_script` made.

    What `call` raises besides exceptions (a BaseException of its own) ends the run and comes out of here.

    Args:
        code: the guarded code.
        call: carries a call of a `ctx` function to the host; raises `CallFailed`.
        functions: names of the functions of `ctx`.
        attributes: JSON values of `ctx`.
        output_limit: bytes that the script may print and publish together.
    """
    printed = Printed(output_limit)
    imports = Imports()
    context = Context(call, functions, attributes)
    scope: dict[str, Any] = {"__builtins__": starting_names(context, imports, printed)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(code, scope)  # noqa: S102  (compiled under the policy, in a process of its own)
        if context.ended is not None:
            raise context.ended
        variables, omitted = _published(scope, imports.bound, printed)
    except (Exception, LimitReached) as exc:
        return Outcome({}, printed.text(), _fault(exc, printed))
    return Outcome(variables, printed.text(), None, omitted)


def _published(
    scope: dict[str, Any], imported: Mapping[str, Any], printed: Printed
) -> tuple[dict[str, Any], dict[str, str]]:
    if printed.exceeded:
        raise LimitReached(printed.message())  # the script went on after it, by a `return` in a `finally`
    variables: dict[str, Any] = {}
    omitted: dict[str, str] = {}
    room = printed.room
    for name, value in scope.items():
        if name.startswith("_") or (name in imported and imported[name] is value) or _is_tool(value):
            continue
        try:
            variables[name] = plain(value, f"the variable {name}")
        except NotPlain as exc:
            omitted[name] = str(exc)
            continue
        room -= len(name) + _size(variables[name])
        if room < 0:
            printed.exceeded = True
            raise LimitReached(printed.message())
    return variables, omitted


def _is_tool(value: object) -> bool:
    """Whether a value is there to work with, and nobody would take it for something to keep."""
    return callable(value) or type(value) in (Context, Facade)


def _size(value: Any) -> int:
    """Bytes of a plain value as compact JSON, about: escapes are not counted."""
    if type(value) is str:
        return len(value.encode()) + 2
    if type(value) is dict:
        return 2 + sum(len(key) + 4 + _size(part) for key, part in value.items())
    if type(value) is list:
        return 2 + sum(1 + _size(part) for part in value)
    return len(repr(value))


#: What the interpreter says of a function that failed and told no reason, in its different places.
_FORGOTTEN = re.compile("without (setting an exception|exception set)")


def _fault(exc: BaseException, printed: Printed) -> Fault:
    line, kind = _line(exc), type(exc)
    if isinstance(exc, LimitReached):
        return Fault("LimitError", str(exc), line, "output" if printed.exceeded else "call")
    if isinstance(exc, RecursionError) and not isinstance(exc, ModulesTooDeepError):
        return Fault("RecursionError", "functions call one another too deeply: use a loop", line, "recursion")
    # Some types of the interpreter forget to say that memory was short.
    forgotten = isinstance(exc, SystemError) and _FORGOTTEN.search(str(exc)) is not None
    if isinstance(exc, MemoryError) or forgotten:
        return Fault("MemoryError", "the script used more memory than it may: keep less at once", line)
    return Fault("RecursionError" if kind is ModulesTooDeepError else kind.__name__, _message(exc), line)


def _message(exc: BaseException) -> str:
    try:
        text = str(exc)
    except (Exception, LimitReached):  # the script's own __str__
        return "(its message cannot be shown)"
    text = storable(_ADDRESS.sub("", text))
    return text if len(text) <= _MESSAGE_LIMIT else text[:_MESSAGE_LIMIT] + " …"


def _line(exc: BaseException) -> int | None:
    line = None
    trace = exc.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == SCRIPT_FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
