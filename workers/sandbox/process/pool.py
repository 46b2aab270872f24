"""Script processes that wait for a script: forked before they are needed, each for one run."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from shared.metrics.scripts import CPU_SECONDS
from workers.sandbox.process.launch import ZygoteProcess

log = logging.getLogger(__name__)

#: Seconds that a run waits for its process, for a new zygote if need be.
PATIENCE = 10.0
#: Seconds after which the pool is filled up. To fork and to rehearse takes longer than most scripts run: done
#: at once, it would take the processors from the very scripts that emptied the pool.
REST = 0.004
_PACKET = 65536


class NoProcessError(Exception):
    """The system gave no process for a script."""


class ScriptProcess:
    """One process, from the fork to the report of its end."""

    def __init__(self, pid: int, pidfd: int, connection: socket.socket) -> None:
        self.pid = pid
        self.connection = connection
        #: Exit status, negative for a signal; None while it lives.
        self.status: int | None = None
        self._pidfd = pidfd
        self._on_end: Callable[[], None] | None = None
        self._ended: asyncio.Future[None] | None = None

    def kill(self) -> None:
        """End it at once, whatever it does, and let go of it. May be called again."""
        if self._pidfd < 0:
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        os.close(self._pidfd)
        self._pidfd = -1
        self.connection.close()

    def tell_end(self, on_end: Callable[[], None] | None) -> None:
        """Call ``on_end`` when the process ends; at once when it has."""
        self._on_end = on_end
        if on_end is not None and self.status is not None:
            on_end()

    async def ended(self, timeout: float) -> int | None:
        """The exit status, or None when it does not come within ``timeout`` seconds."""
        if self.status is None:
            self._ended = asyncio.get_running_loop().create_future()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._ended
        return self.status

    def report(self, status: int) -> None:
        """It has ended."""
        self.status = status
        if self._on_end is not None:
            self._on_end()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)


class Pool:
    """The worker's side of the control socket. Lives on one event loop; nothing here blocks."""

    def __init__(self, size: int, total: int) -> None:
        #: How many processes wait, and how many there are at most.
        self._size, self._total = size, total
        self._zygote: ZygoteProcess | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._numbers = itertools.count(1)
        #: Forks that were asked for: number → our end of the socket.
        self._coming: dict[int, socket.socket] = {}
        self._idle: deque[ScriptProcess] = deque()
        #: Everything whose end was not reported yet.
        self._alive: dict[int, ScriptProcess] = {}
        self._takers: deque[asyncio.Future[ScriptProcess]] = deque()
        self._filling: asyncio.TimerHandle | None = None

    def use(self, zygote: ZygoteProcess | None) -> None:
        """From now on fork from ``zygote``; what waits of another one is gone. Called on the loop."""
        loop = asyncio.get_running_loop()
        if zygote is self._zygote and loop is self._loop:
            return
        if zygote is not self._zygote:
            self.drop()
        self._loop, self._zygote = loop, zygote
        if zygote is not None:
            loop.add_reader(zygote.control.fileno(), self._listen, zygote)
            self._fork_for_takers()
            self._fill()

    def drop(self) -> None:
        """Let go of the zygote and of everything forked from it."""
        zygote, self._zygote = self._zygote, None
        if zygote is None:
            return
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(zygote.control.fileno())
        zygote.control.close()
        if self._filling is not None:
            self._filling.cancel()
            self._filling = None
        for process in self._idle:
            process.kill()
        for connection in self._coming.values():
            connection.close()
        self._idle.clear()
        self._coming.clear()
        orphans, self._alive = list(self._alive.values()), {}
        for process in orphans:
            # They die with their zygote, and nobody is left to tell how.
            process.report(-signal.SIGKILL)

    async def take(self) -> ScriptProcess:
        """A process that waits. Raises :class:`NoProcessError` when none can be had."""
        if self._idle:
            process = self._idle.popleft()
            self._fill_soon()
            return process
        taker: asyncio.Future[ScriptProcess] = asyncio.get_running_loop().create_future()
        self._takers.append(taker)
        self._fork_for_takers()
        self._fill_soon()
        try:
            async with asyncio.timeout(PATIENCE):
                return await taker
        except BaseException as error:
            if taker.done() and not taker.cancelled() and taker.exception() is None:
                # It came just as nobody wanted it any more.
                self._idle.append(taker.result())
            else:
                with suppress(ValueError):
                    self._takers.remove(taker)
            if isinstance(error, TimeoutError):
                raise NoProcessError(f"no process could be started within {PATIENCE:.0f} s") from None
            raise

    def demote(self, process: ScriptProcess) -> None:
        """It has computed for long: let everything else go first."""
        if self._zygote is not None and process.status is None:
            with suppress(OSError):
                self._zygote.control.send(b"demote %d" % process.pid)

    def _fork_for_takers(self) -> None:
        """Ask for a process for everybody who waits for one."""
        for _ in range(len(self._takers) - len(self._coming)):
            self._fork()

    def _fill_soon(self) -> None:
        """Fill the pool up, a little later."""
        if self._filling is None:
            self._filling = asyncio.get_running_loop().call_later(REST, self._fill)

    def _fill(self) -> None:
        """Ask for as many processes as the pool lacks."""
        if self._filling is not None:
            self._filling.cancel()
            self._filling = None
        missing = len(self._takers) + self._size - len(self._idle) - len(self._coming)
        for _ in range(min(missing, self._total - len(self._alive) - len(self._coming))):
            self._fork()

    def _fork(self) -> None:
        if self._zygote is None:
            return
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            self._failed(error.strerror or "no socket")
            return
        ours.setblocking(False)
        number = next(self._numbers)
        with theirs:
            try:
                socket.send_fds(self._zygote.control, [b"spawn %d" % number], [theirs.fileno()])
            except OSError:
                # Its end is about to be seen, and another one will be asked.
                ours.close()
                return
        self._coming[number] = ours

    def _listen(self, zygote: ZygoteProcess) -> None:
        """Read what the zygote says; a packet has one descriptor at most."""
        while zygote is self._zygote:
            try:
                packet, descriptors, _, _ = socket.recv_fds(zygote.control, _PACKET, 1)
            except BlockingIOError:
                return
            except OSError:
                packet, descriptors = b"", []
            if not packet:
                self.drop()
                return
            told = json.loads(packet)
            if "spawned" in told and descriptors:
                self._came(told["spawned"], told["pid"], descriptors[0])
            elif "spawned" in told:
                # It ends when it sees that nobody holds the other end of its socket.
                self._coming.pop(told["spawned"]).close()
                self._failed("this process may open no more files")
            elif "ended" in told:
                for pid, status, cpu in told["ended"]:
                    CPU_SECONDS.inc(cpu)
                    self._went(pid, status)
                self._fill_soon()
            else:
                self._coming.pop(told["failed"]).close()
                self._failed(told["reason"])

    def _came(self, number: int, pid: int, pidfd: int) -> None:
        process = ScriptProcess(pid, pidfd, self._coming.pop(number))
        self._alive[pid] = process
        while self._takers:
            taker = self._takers.popleft()
            if not taker.done():
                taker.set_result(process)
                return
        self._idle.append(process)

    def _went(self, pid: int, status: int) -> None:
        process = self._alive.pop(pid, None)
        if process is None:
            return
        process.report(status)
        with suppress(ValueError):
            self._idle.remove(process)
            process.kill()

    def _failed(self, reason: str) -> None:
        log.warning("no process for a script could be started: %s", reason)
        while self._takers:
            taker = self._takers.popleft()
            if not taker.done():
                taker.set_exception(NoProcessError(reason))
                return
