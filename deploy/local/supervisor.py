"""The supervisor: starts the parts, restarts what dies, stops all in order, and writes down what runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from deploy.local.directories import DataDir
from deploy.local.errors import LocalStackError, PartFailedError
from deploy.local.events import Event, Kind, Report
from deploy.local.lock import StackLock
from deploy.local.logs import open_log, rotate, tail
from deploy.local.options import StackOptions
from deploy.local.parts import Part
from deploy.local.process import Child, ProcessIdentity, end_commands
from deploy.local.stack import DATABASE, Stack, build, migration_command
from deploy.local.state import Health, PartState, StackState, end_leftovers
from shared import __version__

T = TypeVar("T")

#: All is stopped within this many seconds of the first signal.
STOP_LIMIT = 9.5
_HURRY_LIMIT = 1.0  # seconds for Postgres and Valkey after the second signal
_COMMANDS_END = 2.0  # seconds for the commands of a start that is cut short
_PROBE_PAUSE = 0.05  # seconds between two looks at a part that starts
_HEALTH_PAUSE = 5.0  # seconds between two looks at a part that runs
_FIRST_BACKOFF = 0.25  # seconds
_LONGEST_BACKOFF = 30.0  # seconds
_STEADY = 60.0  # seconds after which a part that dies is started again without delay


class Supervisor:
    """Runs one stack until a signal stops it.

    Args:
        options: what to run.
        environment: of this process; may name servers of somebody else.
        report: told what happens.
    """

    def __init__(self, options: StackOptions, environment: Mapping[str, str], report: Report) -> None:
        self.options = options
        self.data: DataDir = options.data
        self._environment = environment
        self._report = report
        self._children: dict[str, Child] = {}
        #: Parts whose files are being made, each in a thread.
        self._preparing: set[str] = set()
        self._states: dict[str, PartState] = {}
        self._stopping = False

    def run(self) -> None:
        """Start everything, keep it running until SIGINT, SIGTERM or SIGHUP, then stop everything.

        Raises:
            AlreadyRunningError: another supervisor has the data directory.
            LocalStackError: the start failed; what had been started is stopped.
        """
        os.umask(0o077)
        self.data.create()
        with StackLock(self.data.lock):
            end_leftovers(self.data, self._note)
            stack = build(self.options, self._environment)
            try:
                asyncio.run(self._supervise(stack))
            finally:
                stack.close()
                self.data.state.unlink(missing_ok=True)
                self.data.remove_far_sockets()
        self._report(Event(Kind.STOPPED))

    # The life of the stack ------------------------------------------------------------------------------
    async def _supervise(self, stack: Stack) -> None:
        loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)
        identity = ProcessIdentity.of(os.getpid())
        assert identity is not None
        self._state = StackState(stack.url, str(self.data.root), identity, __version__)
        for part in stack.parts:
            rotate(self.data.log(part.name))
            self._states[part.name] = PartState(
                part.name, part.version, part.address, Health.STOPPED, stop_signal=int(part.stop_signal)
            )
        self._state.parts = [*stack.elsewhere, *self._states.values()]
        self._save()
        running = asyncio.create_task(self._start_and_keep(stack))
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                _raise_first(running.exception())
        finally:
            self._stopping = True
            stopped.cancel()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await self._stop_all(stack)

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        else:
            self._note("stopping; once more to hurry")
        self._stop.set()

    async def _start_and_keep(self, stack: Stack) -> None:
        """Start the parts, those that need nothing of each other at the same time; then keep them running."""
        async with asyncio.TaskGroup() as keepers:
            loop = asyncio.get_running_loop()
            ready = {part.name: loop.create_future() for part in stack.parts}
            for server in (stack.valkey, stack.postgres, stack.model):
                if server:
                    keepers.create_task(self._keep(server, ready[server.name]))
            if stack.postgres:
                await ready["postgres"]
                await _in_thread(partial(stack.postgres.server.ensure_database, DATABASE))
            await self._migrate(stack)
            if stack.valkey:
                await ready["valkey"]
            for part in stack.services:
                keepers.create_task(self._keep(part, ready[part.name]))
            await asyncio.gather(*ready.values())
            self._state.ready = True
            self._save()
            self._report(Event(Kind.READY, text=stack.url))

    async def _migrate(self, stack: Stack) -> None:
        name = "migrations"
        self._report(Event(Kind.STEP, name, "Migrations"))
        log = self.data.log(name)
        rotate(log)
        with open_log(log) as output:
            child = Child.spawn(
                migration_command(), name=name, env=stack.environment, output=output, cwd=self.data.root
            )
        self._children[name] = child
        try:
            await _exited(child)
        except asyncio.CancelledError:
            child.end(signal.SIGTERM, 1.0)
            raise
        finally:
            del self._children[name]
        if status := child.reap():
            raise _with_log(PartFailedError(f"The migrations ended with status {status}."), log)
        self._report(Event(Kind.DONE, name, "schema up to date"))

    # One part -------------------------------------------------------------------------------------------
    async def _keep(self, part: Part, first: asyncio.Future[None]) -> None:
        """Start a part, and start it again whenever it ends. A failure of the first start is an error."""
        backoff = _FIRST_BACKOFF
        state = self._states[part.name]
        while True:
            began = time.monotonic()
            try:
                child = await self._start(part, first)
                if not first.done():
                    first.set_result(None)
                    self._report(Event(Kind.DONE, part.name, part.address))
                elif self._state.ready:
                    self._note(f"{part.name} is back")
                how = await self._watch(part, child)
            except LocalStackError as error:
                if not first.done():
                    self._report(Event(Kind.FAILED, part.name, part.label))
                    raise _with_log(error, self.data.log(part.name)) from error
                how = str(error).removeprefix(f"{part.name} ")
            if time.monotonic() - began > _STEADY:
                backoff = _FIRST_BACKOFF
            state.restarts += 1
            self._set(part, Health.RESTARTING)
            self._note(f"{part.name} {how}; starting it again (log: {self.data.log(part.name)})")
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _LONGEST_BACKOFF)

    async def _start(self, part: Part, first: asyncio.Future[None]) -> Child:
        """Start a part and wait until it does its work."""
        name = part.name
        if not first.done():
            self._report(Event(Kind.STEP, name, part.label))
        loop = asyncio.get_running_loop()

        def progress(fraction: float) -> None:
            loop.call_soon_threadsafe(self._report, Event(Kind.PROGRESS, name, fraction=fraction))

        def prepare() -> None:
            self._preparing.add(name)
            try:
                part.prepare(progress)
            finally:
                self._preparing.discard(name)

        await _in_thread(prepare)
        with open_log(self.data.log(name)) as output:
            try:
                child = part.spawn(output)
            except OSError as error:
                raise PartFailedError(f"{name} cannot be started: {error}") from error
        self._children[name] = child
        self._set(part, Health.STARTING, child)
        deadline = time.monotonic() + part.start_budget
        while not await _in_thread(part.ready):
            if not child.running():
                raise PartFailedError(f"{name} {self._collect(part, child)} while it started")
            if time.monotonic() > deadline:
                child.end(part.hurry_signal, 2.0)
                self._children.pop(name, None)
                raise PartFailedError(f"{name} was not ready within {part.start_budget:.0f} s")
            await asyncio.sleep(_PROBE_PAUSE)
        self._set(part, Health.READY)
        return child

    async def _watch(self, part: Part, child: Child) -> str:
        """Look after a part that runs, until it ends; says how it ended."""
        end = asyncio.create_task(_exited(child))
        try:
            while not (await asyncio.wait({end}, timeout=_HEALTH_PAUSE))[0]:
                answers = await _in_thread(part.ready)
                self._set(part, Health.READY if answers else Health.UNRESPONSIVE)
        finally:
            end.cancel()
        return self._collect(part, child)

    def _collect(self, part: Part, child: Child) -> str:
        """Reap a part that has ended, and say how it ended."""
        status = child.reap()
        self._children.pop(part.name, None)
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    # Stopping -------------------------------------------------------------------------------------------
    async def _stop_all(self, stack: Stack) -> None:
        """Stop in order: edge first, so that nothing new comes in; data last."""
        await self._end_preparations(stack)
        deadline = time.monotonic() + STOP_LIMIT
        by_name = {part.name: part for part in stack.parts}
        workers = [part for part in stack.services if part.name != "gateway"]
        gateway = [part for part in stack.services if part.name == "gateway"]
        rest: list[Part | None] = [stack.model, stack.valkey, stack.postgres]
        for group in ([*gateway], workers, *([part] for part in rest if part)):
            alive = [part for part in group if part.name in self._children]
            await asyncio.gather(*(self._stop_one(part, deadline) for part in alive))
        for name, child in list(self._children.items()):  # none is left, unless a start was cut short
            child.end(by_name[name].hurry_signal if name in by_name else signal.SIGKILL, 0.5)
        if stack.postgres:
            await _in_thread(partial(stack.postgres.server.end_orphans, grace=0.5))

    async def _end_preparations(self, stack: Stack) -> None:
        """End the commands of a Postgres that is still being prepared: initdb leaves children behind."""
        deadline = time.monotonic() + _COMMANDS_END
        while stack.postgres and stack.postgres.name in self._preparing and time.monotonic() < deadline:
            end_commands()
            await asyncio.sleep(_PROBE_PAUSE)

    async def _stop_one(self, part: Part, deadline: float) -> None:
        child = self._children[part.name]
        keeps_data = part.hurry_signal is not signal.SIGKILL or part.name == "valkey"
        if not self._hurry.is_set():
            child.send(part.stop_signal)
            budget = max(0.1, min(part.stop_budget, deadline - time.monotonic()))
            ended = asyncio.create_task(_exited(child))
            hurry = asyncio.create_task(self._hurry.wait())
            await asyncio.wait({ended, hurry}, timeout=budget, return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            hurry.cancel()
        if child.running() and keeps_data:
            child.send(part.stop_signal if part.name == "valkey" else part.hurry_signal)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(_exited(child), _HURRY_LIMIT)
        if child.running():
            self._note(f"{part.name} did not stop in time and is killed")
        child.reap()
        self._children.pop(part.name, None)
        self._set(part, Health.STOPPED)

    # Telling --------------------------------------------------------------------------------------------
    def _set(self, part: Part, health: Health, child: Child | None = None) -> None:
        state = self._states[part.name]
        before = (state.health, state.pid)
        state.health = health
        if child is not None:
            state.pid, state.started = child.pid, child.identity.started
        elif health in (Health.RESTARTING, Health.STOPPED):
            state.pid = state.started = None
        if (state.health, state.pid) != before:
            self._save()

    def _save(self) -> None:
        self._state.save(self.data.state)

    def _note(self, text: str) -> None:
        self._report(Event(Kind.NOTE, text=text))


def _raise_first(error: BaseException | None) -> None:
    """Raise the error that the parts' task group failed with, out of its wrapping."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if error is not None:
        raise error


def _with_log(error: LocalStackError, path: Path) -> LocalStackError:
    """The same error, of a process that failed, with the end of its log."""
    last = tail(path, 15) if isinstance(error, PartFailedError) else []
    if not last:
        return error
    return PartFailedError("\n".join([f"{error}; its log ({path}) ends:", *last]))


async def _in_thread(work: Callable[[], T]) -> T:
    """Run blocking work in a thread that nobody waits for when the loop ends."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if outcome.done():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, daemon=True).start()
    return await outcome


async def _exited(child: Child) -> None:
    """Wait until a child has ended; it is not reaped."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(child.pid)
    except (AttributeError, OSError):
        while child.running():  # noqa: ASYNC110 (this system has no event for it)
            await asyncio.sleep(_PROBE_PAUSE)
        return
    over = asyncio.Event()
    loop.add_reader(descriptor, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
