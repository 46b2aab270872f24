"""How a run ended, in words for the author of the script."""

from __future__ import annotations

import logging
import signal
from collections.abc import Mapping
from typing import Any

from workers.sandbox.limits import KIB, MIB, ScriptLimits
from workers.sandbox.result import ErrorKind, ScriptError

log = logging.getLogger(__name__)

_LIMITS = {
    "cpu": "The script used more than {cpu:g} s of computing time.",
    "between_calls": "The script took longer than {between_calls:g} s without calling a function of ctx.",
    "total": "The script took longer than {total:g} s.",
    "memory": "The script needs more than {memory} of memory.",
    "output": "The script printed and published more than {output}.",
    "calls": "The script called functions of ctx more than {calls} times.",
    "payload": "The script handed more than {payload} to a function of ctx.",
    "recursion": "The script's functions call one another too deep.",
}
#: Characters of what a script's process says about an error.
_TYPE, _MESSAGE = 100, 2000


def limit_reached(name: str, limits: ScriptLimits) -> ScriptError:
    """The error for the limit ``name``; raises ``KeyError`` for none of that name."""
    sizes = {size: _bytes(getattr(limits, size)) for size in ("memory", "output", "payload")}
    values = {name: getattr(limits, name) for name in ("cpu", "between_calls", "total", "calls")}
    return ScriptError(ErrorKind.LIMIT, name, _LIMITS[name].format(**sizes, **values))


def failure(told: Mapping[str, Any], limits: ScriptLimits) -> ScriptError:
    """The error that a process told; raises ``KeyError``, ``TypeError`` or ``ValueError`` when it is none."""
    kind, type_, message = told["kind"], told["type"], told["message"]
    line, column = told.get("line"), told.get("column")
    if not isinstance(type_, str) or not isinstance(message, str):
        raise TypeError("type and message are text")
    if not all(place is None or (type(place) is int and 0 <= place < 10**9) for place in (line, column)):
        raise TypeError("line and column are numbers")
    if kind not in (ErrorKind.COMPILE, ErrorKind.RUNTIME, ErrorKind.LIMIT):
        raise ValueError("a process tells of no other errors")
    if kind == ErrorKind.LIMIT and type_ in _LIMITS:
        message = limit_reached(type_, limits).message
    return ScriptError(ErrorKind(kind), type_[:_TYPE], message[:_MESSAGE], line, column)


def broken(violation: str | None, status: int | None = None) -> ScriptError:
    """The process broke the protocol, or ended with ``status`` without a word."""
    if violation is not None:
        log.warning("a script's process broke the protocol and was ended: %s", violation[:500])
        return ScriptError(
            ErrorKind.BROKEN, "ProtocolError", "The script's process misbehaved and was ended."
        )
    log.warning("a script's process ended with status %s", status)
    if status == -signal.SIGSYS:
        message = "The script tried something that its process may not do, and was ended."
        return ScriptError(ErrorKind.BROKEN, "ForbiddenError", message)
    if status == -signal.SIGKILL:
        message = "The script's process was ended from outside: the machine may be short of memory."
        return ScriptError(ErrorKind.BROKEN, "ProcessKilledError", message)
    return ScriptError(ErrorKind.BROKEN, "ProcessDiedError", "The script's process ended without a result.")


def refused(reason: str) -> ScriptError:
    """The script was not run."""
    return ScriptError(ErrorKind.REFUSED, "SandboxUnavailableError", f"The script was not run: {reason}.")


def _bytes(size: int) -> str:
    if size % MIB == 0:
        return f"{size // MIB} MiB"
    return f"{size / KIB:g} KiB"
