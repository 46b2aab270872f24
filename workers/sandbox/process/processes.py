"""Where a worker runs scripts."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any

import orjson

from workers.sandbox.limits import ScriptLimits
from workers.sandbox.process import frames
from workers.sandbox.process.code_cache import CodeCache, Key
from workers.sandbox.process.conversation import Conversation, Outcome, StillbornError
from workers.sandbox.process.keeper import Keeper
from workers.sandbox.process.launch import SandboxUnavailableError, ZygoteProcess
from workers.sandbox.process.outcome import broken, refused
from workers.sandbox.process.places import Places
from workers.sandbox.process.pool import NoProcessError, Pool
from workers.sandbox.process.request import ScriptRequest, Serve
from workers.sandbox.result import (
    CompileResult,
    ErrorKind,
    ScriptAnalysis,
    ScriptError,
    ScriptExecutionResult,
)

log = logging.getLogger(__name__)

#: How many processes wait, forked, for a script: a turn with several finds one for each. One that waits takes
#: about 2 MB.
POOL = 8
#: How often a run is given another process when the one it got was dead already.
_STILLBORN = 3


class ScriptProcesses:
    """Runs scripts, each in a process of its own, and lets none of them out or on for too long.

    ``start`` and ``close`` are called from any thread; everything else on one event loop.

    Parameters:
        processes: how many scripts of turns run at once; more wait in line.
        reserved: how many more run at once that other scripts wait for (``nesting`` at least).
        pool: how many processes are forked before they are needed.
        nesting: how many levels deep scripts run scripts.
        language: the module of the language part, as it is imported in the scripts' processes.
    """

    def __init__(
        self,
        limits: ScriptLimits,
        *,
        processes: int,
        reserved: int,
        pool: int = POOL,
        nesting: int = 3,
        language: str = "workers.sandbox.language",
    ) -> None:
        self.limits = limits
        self._places = Places(processes, reserved, nesting)
        self._pool = Pool(min(pool, processes), self._places.total)
        self._codes = CodeCache()
        self._keeper = Keeper(limits, language, self._changed)
        self._zygote: ZygoteProcess | None = None
        self._policy = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reason: str | None = "it was not started"

    def start(self) -> None:
        """Start the zygote and test that it holds; blocks for some tenths of a second.

        Raises:
            SandboxUnavailableError: scripts cannot be confined here. They are refused from now on, with this
                reason; everything else goes on.
        """
        try:
            self._keeper.start()
        except SandboxUnavailableError as error:
            self._reason = str(error)
            raise

    def close(self) -> None:
        """End every script and the zygote, and wait for that. Scripts are refused from now on."""
        self._keeper.close()
        self._reason = "the worker is stopping"
        loop = self._loop
        if loop is not None and loop.is_running():
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._pool.drop)
        else:
            self._pool.drop()

    @property
    def available(self) -> bool:
        """Whether scripts run."""
        return self._reason is None

    @property
    def reason(self) -> str | None:
        """Why scripts are refused, or None."""
        return self._reason

    async def run(self, request: ScriptRequest, serve: Serve, *, nested: int = 0) -> ScriptExecutionResult:
        """Run a script and answer its calls with ``serve``; whatever the script does, there is a result.

        Cancelling the task kills the script at once.

        ``nested`` tells how many scripts wait for this one: 0 for a module of a turn, 1 for one that such a
        module runs. What ``serve`` raises, other than ``CallError``, kills the script and is raised here.
        """
        key = self._key(request.cache_key, request.source)
        code = self._codes.get(key) if key is not None else None
        message = {
            "do": "run",
            "source": "" if code else request.source,
            "keep": key is not None,
            "functions": list(request.functions),
            "attributes": dict(request.attributes),
        }
        began = time.perf_counter()
        outcome = Outcome({})
        error = self._refusal(nested) or _unreadable(request.source)
        if error is None:
            owner = None if request.cache_key is None else request.cache_key[0]
            await self._places.enter(nested, owner)
            began = time.perf_counter()
            try:
                outcome = await self._hold(message, code, frozenset(request.functions), serve)
            finally:
                self._places.leave(nested, owner)
            error = outcome.error
            self._keep(key, outcome)
        return ScriptExecutionResult(
            success=error is None,
            variables=outcome.variables if error is None else {},
            printed=outcome.printed,
            error=error,
            duration_ms=(time.perf_counter() - began) * 1000,
            calls=outcome.calls,
            omitted=outcome.omitted,
        )

    async def compile(
        self, source: str, cache_key: tuple[str, str] | None = None, *, owner: str | None = None
    ) -> CompileResult:
        """Compile a script in a process of its own, as a run would; with ``cache_key`` its code is kept.

        It counts among the runs of ``owner``, or of the one in ``cache_key``.
        """
        error = self._refusal(0) or _unreadable(source)
        if error is not None:
            return CompileResult(None, error)
        message = {"do": "compile", "source": source, "keep": True, "functions": [], "attributes": {}}
        owner = owner or (None if cache_key is None else cache_key[0])
        await self._places.enter(0, owner)
        try:
            outcome = await self._hold(message, None, frozenset(), _serve_nothing)
        finally:
            self._places.leave(0, owner)
        if outcome.error is not None:
            return CompileResult(None, outcome.error)
        try:
            analysis = _analysis(outcome.analysis or {})
        except (KeyError, TypeError, ValueError) as wrong:
            return CompileResult(None, broken(f"an analysis that is none: {wrong!r}"))
        self._keep(self._key(cache_key, source), outcome)
        return CompileResult(analysis, None)

    async def _hold(
        self, message: dict[str, Any], code: bytes | None, functions: frozenset[str], serve: Serve
    ) -> Outcome:
        limits = self.limits
        message |= {"payload": limits.payload, "output": limits.output, "calls": limits.calls}
        body = orjson.dumps(message | {"compiled": code is not None}, option=orjson.OPT_NON_STR_KEYS)
        if len(body) > frames.REQUEST_LIMIT:
            return Outcome(
                {}, error=refused(f"it and its inputs are larger than {frames.REQUEST_LIMIT} bytes")
            )
        request = frames.pack(body) + (frames.pack(code) if code is not None else b"")
        self._attach()
        for _ in range(_STILLBORN):
            try:
                process = await self._pool.take()
            except NoProcessError as error:
                return Outcome({}, error=refused(str(error)))
            try:
                conversation = Conversation(process, limits, functions, serve, self._pool.demote)
                return await conversation.hold(request, only_compile=message["do"] == "compile")
            except StillbornError:
                continue
            finally:
                process.kill()
        return Outcome({}, error=refused("its processes died before they got it"))

    def _refusal(self, nested: int) -> ScriptError | None:
        if self._reason is not None:
            return refused(f"scripts cannot be run, since {self._reason}")
        if nested > self._places.nesting:
            return refused(f"scripts run scripts {self._places.nesting} levels deep at most")
        return None

    def _key(self, owner_and_module: tuple[str, str] | None, source: str) -> Key | None:
        if owner_and_module is None or not self._policy:
            return None
        return CodeCache.key(owner_and_module, source, self._policy)

    def _keep(self, key: Key | None, outcome: Outcome) -> None:
        if key is not None and outcome.code is not None:
            self._codes.put(key, outcome.code)

    def _changed(self, zygote: ZygoteProcess | None, reason: str | None) -> None:
        """Called by the keeper's thread: a zygote is ready, or the last one has gone."""
        self._zygote, self._reason = zygote, reason
        if zygote is not None:
            self._policy = zygote.policy
            log.info(
                "scripts run under account %s, Landlock version %s", zygote.uid, zygote.landlock or "none"
            )
        loop = self._loop
        if loop is not None:
            # A loop that has been closed needs no zygote.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._renew)

    def _renew(self) -> None:
        self._pool.use(self._zygote)

    def _attach(self) -> None:
        """Belong to the running loop, from the first run on."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self._loop is not None and not self._loop.is_closed():
                raise RuntimeError("these processes belong to another event loop, which is not closed")
            self._loop = loop
            self._renew()


async def _serve_nothing(name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    raise AssertionError("compiling calls nothing")


def _unreadable(source: str) -> ScriptError | None:
    try:
        source.encode()
    except UnicodeEncodeError:
        message = "The script has text with half a surrogate pair, which is no text."
        return ScriptError(ErrorKind.COMPILE, "SyntaxError", message)
    return None


def _analysis(told: dict[str, Any]) -> ScriptAnalysis:
    """What a process told; raises ``KeyError``, ``TypeError`` or ``ValueError`` when it is no analysis."""
    names = {field: told[field] for field in ("functions", "module_names", "imports")}
    flags = {field: told[field] for field in ("requires_ai_inference", "has_loops", "has_conditionals")}
    if not all(type(found) is list and all(type(name) is str for name in found) for found in names.values()):
        raise TypeError("names are lists of text")
    if not all(type(flag) is bool for flag in flags.values()):
        raise TypeError("flags are true or false")
    if type(told["lines"]) is not int or told["complexity"] not in ("low", "medium", "high"):
        raise ValueError("lines is a number, complexity low, medium or high")
    return ScriptAnalysis(
        functions=tuple(told["functions"]),
        module_names=tuple(told["module_names"]),
        imports=tuple(told["imports"]),
        requires_ai_inference=told["requires_ai_inference"],
        has_loops=told["has_loops"],
        has_conditionals=told["has_conditionals"],
        lines=told["lines"],
        complexity=told["complexity"],
    )
