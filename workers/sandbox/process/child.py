"""One script, in a process of its own: confine it, read what to run, run it, tell what came of it, end."""

from __future__ import annotations

import json
import marshal
import os
import resource
import signal
import socket
import sys
from dataclasses import dataclass
from types import CodeType
from typing import Any, NoReturn, Protocol

from workers.sandbox.process import frames
from workers.sandbox.process.seccomp import SystemCallFilter, prctl

_PR_SET_PDEATHSIG = 1
#: The one descriptor that a script's process has.
SOCKET = 3
#: Exit status of a process that could not be confined: it has run nothing.
UNCONFINED = 70
#: Exit status of a process that had no memory left to say so.
OUT_OF_MEMORY = 71
#: What a process does before its script comes: touching memory now spares the script the time to have it
#: copied from the zygote's.
REHEARSAL = """
import json, random
def double(x):
    return x * 2
names = [name.upper() for name in ("a", "b")]
counts = {name: double(len(name)) for name in names}
counts["A"] += 1
text = f"{random.random():.2f} {json.dumps(counts)} {sorted(names, key=lambda name: -counts[name])}"
"""
#: Characters of an error's message that its author gets to see.
_MESSAGE = 2000


class Language(Protocol):
    """What the process needs of the language part, :mod:`workers.sandbox.language`."""

    POLICY_VERSION: str
    CallFailed: Any
    ScriptSyntaxError: type[Exception]

    def warm(self) -> None:
        """Touch all that a script may need later, when nothing can be loaded any more."""

    def compile_script(self, source: str) -> Any:
        """``code`` and ``analysis``; raises ``ScriptSyntaxError``."""

    def run_script(self, code: CodeType, **how: Any) -> Any:
        """``variables``, ``printed`` and ``error``."""


@dataclass(frozen=True)
class Bounds:
    """What the kernel holds a process to. Seconds and bytes."""

    cpu: float
    #: Address space, that of the zygote included.
    memory: int


class _EndError(BaseException):
    """Nothing is left to do but to send the frame that this holds, and to end."""


def confine(connection: int, bounds: Bounds, parent: int, filter_: SystemCallFilter) -> socket.socket:
    """Leave this process nothing but ``connection`` and its bounds; returns the connection.

    Called right after the fork. The order matters: the filter comes last, since it refuses the rest.
    """
    prctl()(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(UNCONFINED)
    os.dup2(connection, SOCKET, inheritable=True)
    os.closerange(0, SOCKET)
    os.closerange(SOCKET + 1, 1 << 20)
    sys.stdin = sys.stdout = sys.stderr = None
    for limit in (
        resource.RLIMIT_CORE,
        resource.RLIMIT_FSIZE,
        resource.RLIMIT_NPROC,
        resource.RLIMIT_MEMLOCK,
    ):
        _lower(limit, 0)
    _lower(resource.RLIMIT_NOFILE, SOCKET + 1)
    _lower(resource.RLIMIT_AS, bounds.memory)
    # The timer ends the process to some milliseconds; the limit, in whole seconds, stands behind it.
    _lower(resource.RLIMIT_CPU, int(bounds.cpu) + 2)
    signal.setitimer(signal.ITIMER_PROF, bounds.cpu)
    own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=SOCKET)
    filter_.install()
    return own


def _lower(limit: int, value: int) -> None:
    """Set a limit, or leave the lower one that the worker was given already."""
    _, hard = resource.getrlimit(limit)
    least = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (least, least))


def run(connection: socket.socket, language: Language, rehearsal: CodeType) -> NoReturn:
    """Do what the first frame asks for, once; before it comes, run ``rehearsal``, compiled of `REHEARSAL`."""
    try:
        script = _Script(connection, language)
        script.rehearse(rehearsal)
        script.obey()
    except _EndError as end:
        connection.sendall(end.args[0])
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except (frames.FrameError, OSError):
        # The worker is gone, or wants no more of this.
        os._exit(0)
    os._exit(0)


class _Script:
    """The run: what the script calls goes out as a frame, and the answer comes in as one."""

    def __init__(self, connection: socket.socket, language: Language) -> None:
        self._connection = connection
        self._language = language
        # Kept ready, for when there is no memory to write it, or no stack.
        self._limits = {name: frames.pack(frames.encode({"limit": name})) for name in ("memory", "output")}
        self._payload = self._output = self._calls = 0
        #: The limit that a call ran into.
        self._reached: str | None = None

    def rehearse(self, code: CodeType) -> None:
        outcome = self._language.run_script(
            code, call=self._call, functions=("f",), attributes={"a": {}}, output_limit=frames.ENVELOPE
        )
        json.loads(frames.encode({"done": {"variables": {"a": [1, "b"]}, "printed": outcome.printed}}))

    def obey(self) -> None:
        request = json.loads(frames.receive(self._connection, frames.REQUEST_LIMIT))
        self._payload, self._output, self._calls = request["payload"], request["output"], request["calls"]
        try:
            code = self._code(request)
            if code is None or request["do"] == "compile":
                return
            outcome = self._language.run_script(
                code,
                call=self._call,
                functions=request["functions"],
                attributes=request["attributes"],
                output_limit=self._output,
            )
            self._finish(outcome)
        except MemoryError:
            raise _EndError(self._limits["memory"]) from None

    def _code(self, request: dict[str, Any]) -> CodeType | None:
        """The code to run: compiled before, or now, and then told to the worker to keep."""
        if request["compiled"]:
            kept = marshal.loads(frames.receive(self._connection, frames.REQUEST_LIMIT))  # noqa: S302 - in here
            assert isinstance(kept, CodeType)
            return kept
        try:
            compiled = self._language.compile_script(request["source"])
        except self._language.ScriptSyntaxError as error:
            place = {"line": getattr(error, "line", None), "column": getattr(error, "column", None)}
            self._fail("compile", "SyntaxError", getattr(error, "message", str(error)), **place)
            return None
        except RecursionError:
            self._fail("compile", "SyntaxError", "the script nests too deep")
            return None
        if request["keep"]:
            code_bytes = marshal.dumps(compiled.code)
            small = len(code_bytes) <= frames.CODE_LIMIT
            self._send({"analysis": compiled.analysis.as_json(), "code": small})
            if small:
                self._connection.sendall(frames.pack(code_bytes))
        code: CodeType = compiled.code
        return code

    def _call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if not self._calls:
            raise self._limit("calls", "too many calls of ctx functions")
        try:
            body = frames.encode({"call": name, "args": args, "kwargs": kwargs})
        except (TypeError, ValueError) as error:
            raise self._language.CallFailed(type(error).__name__, f"ctx.{name}: {error}") from None
        if len(body) > self._payload + frames.ENVELOPE:
            raise self._limit("payload", f"ctx.{name} was given too much")
        self._calls -= 1
        try:
            self._connection.sendall(frames.pack(body))
            answer = json.loads(frames.receive(self._connection, self._payload + frames.ENVELOPE))
        except (frames.FrameError, OSError):
            os._exit(0)
        if "error" not in answer:
            return answer["value"]
        if answer["error"]["type"] == "LimitError":
            raise self._limit("LimitError", answer["error"]["message"])
        raise self._language.CallFailed(**answer["error"])

    def _limit(self, name: str, message: str) -> Exception:
        """The language part ends the script for this one, whatever it catches."""
        self._reached = name
        failed: Exception = self._language.CallFailed("LimitError", message)
        return failed

    def _finish(self, outcome: Any) -> None:
        printed = outcome.printed.encode(errors="replace").decode()
        fault = outcome.error
        if fault is None:
            self._publish(outcome.variables, getattr(outcome, "omitted", {}), printed)
            return
        limits = {"MemoryError": "memory", "LimitError": self._reached or "output"}
        if getattr(fault, "limit", None) == "recursion":
            limits["RecursionError"] = (
                "recursion"  # the interpreter's; that of run_module has words of its own
            )
        limit = limits.get(fault.type)
        kind, type_ = ("limit", limit) if limit else ("runtime", fault.type)
        self._fail(kind, type_, fault.message, line=fault.line, printed=printed)

    def _publish(self, variables: dict[str, Any], omitted: dict[str, str], printed: str) -> None:
        try:
            self._send({"done": {"variables": variables, "omitted": omitted, "printed": printed}})
        except (TypeError, ValueError):
            # The language part lets nothing else through; this is for what it misses.
            kept = {name: value for name, value in variables.items() if _crosses(name, value)}
            self._send({"done": {"variables": kept, "omitted": omitted, "printed": printed}})

    def _fail(self, kind: str, type_: str, message: str, **more: Any) -> None:
        text = str(message)[:_MESSAGE].encode(errors="replace").decode()
        self._send({"failed": {"kind": kind, "type": str(type_)[:100], "message": text, **more}})

    def _send(self, message: dict[str, Any]) -> None:
        body = frames.encode(message)
        if len(body) > self._output + frames.ENVELOPE:
            raise _EndError(self._limits["output"])
        self._connection.sendall(frames.pack(body))


def _crosses(name: object, value: object) -> bool:
    """Whether a published value is one of JSON that every reader can hold; others stay in the process."""
    try:
        frames.encode({name: value})
    except (TypeError, ValueError):
        return False
    return True
