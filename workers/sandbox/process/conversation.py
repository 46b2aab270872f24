"""One run, as the worker sees it: it sends the script, answers its calls, and trusts nothing it hears."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from workers.sandbox.limits import ScriptLimits
from workers.sandbox.plugins.errors import CallError
from workers.sandbox.process import frames
from workers.sandbox.process.child import OUT_OF_MEMORY, UNCONFINED
from workers.sandbox.process.outcome import broken, failure, limit_reached, refused
from workers.sandbox.process.pool import ScriptProcess
from workers.sandbox.process.request import Serve
from workers.sandbox.result import ScriptError

log = logging.getLogger(__name__)

#: Seconds that the report of a process's end may take to arrive.
REPORT = 2.0
#: Seconds of computing after which a script steps aside for everything else.
PATIENCE = 0.1
_CHUNK = 1 << 18
#: Bytes of a frame that takes a while to read.
_LONG = 1 << 14


class StillbornError(Exception):
    """The process was dead before it got its script: nothing has run, another one may take it."""


class _EndError(Exception):
    """The run is over; the error says how."""

    def __init__(self, error: ScriptError) -> None:
        self.error = error


@dataclass
class Outcome:
    """What a process told, checked."""

    variables: dict[str, Any]
    printed: str = ""
    error: ScriptError | None = None
    analysis: dict[str, Any] | None = None
    code: bytes | None = None
    calls: int = 0
    omitted: dict[str, str] = field(default_factory=dict)


class Conversation:
    """The exchange with one process. The caller kills the process afterwards, however it went."""

    def __init__(
        self,
        process: ScriptProcess,
        limits: ScriptLimits,
        functions: frozenset[str],
        serve: Serve,
        demote: Callable[[ScriptProcess], None],
    ) -> None:
        self._process, self._limits, self._functions, self._serve = process, limits, functions, serve
        self._demote = demote
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time() + limits.total
        self._computing = self._loop.time()
        self._buffer = bytearray()
        self._outcome = Outcome({})
        self._largest = max(limits.payload, limits.output) + frames.ENVELOPE

    async def hold(self, request: bytes, *, only_compile: bool) -> Outcome:
        """Send ``request``, one or two frames, and see the run to its end.

        Raises :class:`StillbornError`, and what ``serve`` raises besides ``CallError``.
        """
        watch = self._loop.call_later(PATIENCE, self._watch)
        self._watching = watch
        try:
            await self._converse(request, only_compile)
        except _EndError as end:
            self._outcome.error = end.error
        finally:
            self._watching.cancel()
        return self._outcome

    async def _converse(self, request: bytes, only_compile: bool) -> None:
        message = await self._exchange(request, first=True)
        if "analysis" in message:
            self._outcome.analysis = _typed(message, "analysis", dict)
            if message.get("code") is True:
                self._outcome.code = await self._frame(frames.CODE_LIMIT)
            if only_compile:
                return
            message = await self._exchange(b"")
        while "call" in message:
            answer = await self._answer(message)
            message = await self._exchange(frames.pack(answer))
        if "done" in message:
            done = _typed(message, "done", dict)
            self._outcome.variables = _typed(done, "variables", dict)
            self._outcome.printed = _typed(done, "printed", str)
            self._outcome.omitted = _typed(done, "omitted", dict)
            if not all(type(why) is str for why in self._outcome.omitted.values()):
                raise _EndError(broken("reasons that are no text"))
        elif "failed" in message:
            failed = _typed(message, "failed", dict)
            self._outcome.printed = _typed(failed, "printed", str) if "printed" in failed else ""
            raise _EndError(_checked(lambda: failure(failed, self._limits)))
        elif "limit" in message:
            raise _EndError(_checked(lambda: limit_reached(_typed(message, "limit", str), self._limits)))
        else:
            raise _EndError(broken("an unknown message"))

    # ---- Frames --------------------------------------------------------------------------------------

    async def _exchange(self, out: bytes, *, first: bool = False) -> dict[str, Any]:
        """Send, and wait for the next message as long as the script may compute."""
        self._computing = self._loop.time()
        alone = self._computing + self._limits.between_calls
        try:
            async with asyncio.timeout_at(min(alone, self._last)):
                if out:
                    await self._send(out, first)
                frame = await self._frame(self._largest)
        except TimeoutError:
            name = "between_calls" if alone < self._last else "total"
            raise _EndError(limit_reached(name, self._limits)) from None
        self._computing = 0.0
        if len(frame) > _LONG:
            # Frames that have arrived already are read without a pause: let others in between two of them.
            await asyncio.sleep(0)
        return _message(frame)

    async def _send(self, out: bytes, first: bool) -> None:
        connection = self._process.connection
        try:
            try:
                sent = connection.send(out)
            except BlockingIOError:
                sent = 0
            if sent < len(out):
                await self._loop.sock_sendall(connection, memoryview(out)[sent:])
        except OSError:
            if first:
                raise StillbornError from None
            raise _EndError(await self._end()) from None

    async def _frame(self, limit: int) -> bytes:
        head = frames.HEADER.size
        while len(self._buffer) < head:
            await self._read()
        (length,) = frames.HEADER.unpack_from(self._buffer)
        if length > limit:
            # Seen before any of it is read: the frame costs nothing.
            raise _EndError(broken(f"a frame of {length} bytes where {limit} are allowed"))
        while len(self._buffer) < head + length:
            await self._read()
        frame = bytes(self._buffer[head : head + length])
        del self._buffer[: head + length]
        return frame

    async def _read(self) -> None:
        try:
            part = await self._loop.sock_recv(self._process.connection, _CHUNK)
        except OSError:
            part = b""
        if not part:
            raise _EndError(await self._end())
        self._buffer += part

    async def _end(self) -> ScriptError:
        """Why the process ended without a word."""
        status = await self._process.ended(REPORT)
        if status in (-signal.SIGPROF, -signal.SIGXCPU):
            return limit_reached("cpu", self._limits)
        if status == OUT_OF_MEMORY:
            return limit_reached("memory", self._limits)
        if status == UNCONFINED:
            return refused("the script's process could not be confined, and has run nothing")
        return broken(None, status)

    # ---- Calls ---------------------------------------------------------------------------------------

    async def _answer(self, message: dict[str, Any]) -> bytes:
        """Serve one call."""
        name = _typed(message, "call", str)
        args, kwargs = _typed(message, "args", list), _typed(message, "kwargs", dict)
        if name not in self._functions:
            raise _EndError(broken(f"a call of {name[:50]!r}, which this run has not"))
        if self._outcome.calls >= self._limits.calls:
            raise _EndError(broken("more calls than it may make"))
        self._outcome.calls += 1
        scope = asyncio.timeout_at(self._last)
        try:
            async with scope:
                # A process that is killed from outside while it waits ends its model call, too.
                self._process.tell_end(lambda: scope.reschedule(self._loop.time()))
                try:
                    value = await self._serve(name, args, kwargs)
                finally:
                    self._process.tell_end(None)
        except CallError as error:
            return self._error(error.type, error.message, error.code)
        except TimeoutError:
            if not scope.expired():
                raise
            if self._process.status is not None:
                raise _EndError(await self._end()) from None
            raise _EndError(limit_reached("total", self._limits)) from None
        try:
            answer = orjson.dumps({"value": value}, option=orjson.OPT_NON_STR_KEYS)
        except TypeError:
            log.exception("ctx.%s gave what is no JSON", name)
            return self._error(
                "RuntimeError", f"{name}() gave a value that cannot be handed to a script", None
            )
        if len(answer) > self._limits.payload:
            return self._error(
                "LimitError", f"the answer of {name}() is larger than {self._limits.payload} bytes", None
            )
        return answer

    def _error(self, type_: str, message: str, code: str | None) -> bytes:
        error = {"type": type_, "message": message[:2000].encode(errors="replace").decode()}
        if code is not None:
            error["code"] = code
        return orjson.dumps({"error": error})

    def _watch(self) -> None:
        """Once in a while, look whether the script computes all the time."""
        now = self._loop.time()
        if self._computing and now - self._computing >= PATIENCE:
            self._demote(self._process)
        else:
            self._watching = self._loop.call_later(PATIENCE, self._watch)


def _message(frame: bytes) -> dict[str, Any]:
    """The message in ``frame``. What it costs is bounded by the number of values that may be in it."""
    crowd = frames.crowd(frame)
    if crowd > frames.CONTAINERS:
        raise _EndError(broken("a message of too many values"))
    try:
        message = orjson.loads(frame)
    except ValueError as error:
        raise _EndError(broken(f"no JSON: {error}")) from None
    if type(message) is not dict or (crowd > frames.DEPTH and frames.too_deep(message)):
        raise _EndError(broken("a message that is no object, or nests too deep"))
    return message


def _typed(message: dict[str, Any], name: str, type_: type[Any]) -> Any:
    value = message.get(name)
    if type(value) is not type_:
        raise _EndError(broken(f"{name!r} is not of type {type_.__name__}"))
    return value


def _checked(make: Callable[[], ScriptError]) -> ScriptError:
    with suppress(KeyError, TypeError, ValueError):
        return make()
    return broken("an error that is none")
