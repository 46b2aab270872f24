"""A child process in a session of its own: started, told apart from a reused pid, ended with its group."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import psutil

from deploy.local.account import Account

_PR_SET_PDEATHSIG = 1
_POLL = 0.02  # seconds, where the system has no event to wait for


@dataclass(frozen=True)
class ProcessIdentity:
    """A process that cannot be mistaken for a later one of the same pid.

    Attributes:
        pid: process id, which is also the id of the process group of a ``Child``.
        started: when it started, in a form that only equality is asked of (``start_mark``).
    """

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The identity of the process that has this pid now; None when there is none, or only a zombie."""
        started = start_mark(pid)
        return None if started is None else cls(pid, started)

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return start_mark(self.pid) == self.started


@lru_cache(maxsize=1)
def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_mark(pid: int) -> str | None:
    """When the process started: on Linux boot and clock ticks, which no change of the wall clock moves."""
    if sys.platform.startswith("linux"):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else f"{_boot_id()}:{fields[19]}"
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return f"{process.create_time():.2f}"
    except psutil.Error:
        return None


def _die_with_parent(sig: signal.Signals) -> Callable[[], None] | None:
    """What a child runs before it becomes its program, so that it does not outlive us; None off Linux."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, int(sig))
        if os.getppid() != parent:  # we died between the fork and the line above
            os._exit(1)

    return before_exec


class Child:
    """One process that we started, leader of its own session and process group.

    Start it from a thread that lives as long as the child should: Linux ends the child when the *thread*
    that started it ends.
    """

    def __init__(self, name: str, popen: subprocess.Popen[bytes]) -> None:
        self.name = name
        self._popen = popen
        identity = ProcessIdentity.of(popen.pid)
        self.identity = identity or ProcessIdentity(popen.pid, "ended")

    @classmethod
    def spawn(
        cls,
        command: Sequence[str],
        *,
        name: str,
        env: Mapping[str, str] | None = None,
        output: IO[bytes] | int | None = None,
        account: Account | None = None,
        death_signal: signal.Signals = signal.SIGTERM,
        cwd: Path | str = "/",
        pass_fds: Sequence[int] = (),
    ) -> Child:
        """Start ``command``; ``output`` takes what it prints (default: nowhere), ``account`` runs it.

        ``pass_fds`` are descriptors that it inherits under their numbers.

        Raises:
            OSError: the program is not there or may not be executed.
        """
        sink = subprocess.DEVNULL if output is None else output
        popen = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT if output is not None else subprocess.DEVNULL,
            env=None if env is None else dict(env),
            cwd=str(cwd),
            start_new_session=True,
            preexec_fn=_die_with_parent(death_signal),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            umask=0o077,
            pass_fds=tuple(pass_fds),
        )
        return cls(name, popen)

    @property
    def pid(self) -> int:
        """Its process id, and the id of its group."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """How it ended, once it was reaped: negative for a signal."""
        return self._popen.returncode

    def running(self) -> bool:
        """Whether it runs; one that ended is not reaped by asking."""
        return self._popen.returncode is None and not _ended(self.pid)

    def send(self, sig: signal.Signals) -> None:
        """Send a signal to the process alone; nothing happens when it has ended."""
        if self._popen.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def send_group(self, sig: signal.Signals) -> None:
        """Send a signal to the whole group. Only before it is reaped, since then the number may be reused."""
        if self._popen.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, sig)

    def wait(self, timeout: float) -> bool:
        """Wait until it has ended, without reaping it; False when it still runs after ``timeout`` seconds."""
        return self._popen.returncode is not None or _wait_ended(self.pid, timeout)

    def reap(self) -> int:
        """Kill what is left of the group and collect the exit status; waits for the process to end."""
        self.send_group(signal.SIGKILL)
        return self._popen.wait()

    def end(self, sig: signal.Signals = signal.SIGTERM, timeout: float = 10.0) -> int:
        """Ask it to stop, wait, then kill whatever remains of its group. Returns the exit status."""
        self.send(sig)
        if self.running():
            self.send(signal.SIGCONT)  # a stopped process would never see the first signal
        self.wait(timeout)
        return self.reap()


def run_command(
    command: Sequence[str], *, account: Account | None = None, env: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a command to its end and return its exit status and what it printed; it dies with us."""
    with _commands.begin(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=None if env is None else dict(env),
        cwd="/",
        # Its own children, too, are ended by their group.
        start_new_session=True,
        preexec_fn=_die_with_parent(signal.SIGKILL),
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        umask=0o077,
    ) as process:
        told, _ = process.communicate()
    return process.returncode, told.decode(errors="replace")


def end_commands() -> None:
    """Kill the commands that other threads run now, with all that they started."""
    _commands.end()


class _Commands:
    """The commands that run now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()

    @contextlib.contextmanager
    def begin(self, command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
        with self._lock:
            process = subprocess.Popen(command, **options)
            self._running.add(process)
        try:
            with process:
                yield process
        finally:
            with self._lock:
                self._running.discard(process)

    def end(self) -> None:
        with self._lock:
            for process in self._running:
                # One that was reaped has left its number to others.
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)


_commands = _Commands()


def _ended(pid: int) -> bool:
    """Whether our child is a zombie (or gone); it is left to be reaped."""
    if hasattr(os, "waitid"):
        try:
            return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True
    return start_mark(pid) is None


def _wait_ended(pid: int, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):
        while not _ended(pid):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL)
        return True
    # Unlike select, poll takes descriptors above 1,023.
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    try:
        return bool(poller.poll(max(0.0, timeout) * 1000)) or _ended(pid)
    finally:
        os.close(descriptor)


def wait_gone(processes: Sequence[ProcessIdentity], timeout: float) -> bool:
    """Wait until processes (not our children) have ended; False when one is left after ``timeout`` s."""
    deadline = time.monotonic() + timeout
    while any(process.alive() for process in processes):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL)
    return True


def end_leftover(identity: ProcessIdentity, sig: signal.Signals, timeout: float) -> bool:
    """End a process that an earlier supervisor left behind, and its group, if it is still the same process.

    Returns:
        Whether there was anything to end.
    """
    if not identity.alive():
        return False
    group = identity.pid
    with contextlib.suppress(ProcessLookupError):
        os.kill(identity.pid, sig)
        os.kill(identity.pid, signal.SIGCONT)
    if not wait_gone([identity], timeout):
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(group) == group:
                os.killpg(group, signal.SIGKILL)
            else:
                os.kill(group, signal.SIGKILL)
        wait_gone([identity], 5.0)
    return True
