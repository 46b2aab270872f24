"""A server program of the system, started on the loopback."""

from __future__ import annotations

import glob
import shutil
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from deploy.local.account import Account
from deploy.local.process import Child

#: Where Debian keeps programs that a user's PATH may not have.
_ELSEWHERE = ("/usr/sbin", "/usr/bin", "/usr/lib/rabbitmq/bin", "/usr/lib/postgresql/*/bin")


def find_program(name: str) -> str | None:
    """Where a program is, if it is installed."""
    found = [path for folder in _ELSEWHERE for path in sorted(glob.glob(f"{folder}/{name}"), reverse=True)]
    return found[0] if found else shutil.which(name)


def require_program(name: str) -> str:
    """Where a program is; the test is skipped where it is not installed."""
    found = find_program(name)
    if found is None:
        pytest.skip(f"{name} is not installed (scripts/external-servers installs it on Debian)")
    return found


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Program:
    """One process of a server; it may be killed, paused and started again.

    Args:
        name: for its log.
        command: that runs it in the foreground.
        port: on which it listens when it is ready.
        directory: of its log.
        env: its whole environment.
        account: whom it runs as, when we are root and it refuses to.
        ends_by: what makes it stop in order.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        port: int,
        directory: Path,
        *,
        env: Mapping[str, str] | None = None,
        account: Account | None = None,
        ends_by: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.port = port
        self.log = directory / f"{name}.log"
        self._env = env
        self._account = account
        self._ends_by = ends_by
        self.child: Child | None = None

    def start(self, timeout: float = 40.0) -> None:
        """Start it and wait until it takes connections; what is left of an earlier start goes away."""
        self.kill()
        with self.log.open("ab") as output:
            self.child = Child.spawn(
                self.command, name=self.name, env=self._env, output=output, account=self._account
            )
        deadline = time.monotonic() + timeout
        while not self.ready():
            if not self.child.running() or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"{self.name} did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.02)

    def ready(self) -> bool:
        """Whether it takes connections now."""
        try:
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
        except OSError:
            return False
        return True

    def stop(self, timeout: float = 20.0) -> None:
        """Stop it in order."""
        if self.child is not None:
            self.child.end(self._ends_by, timeout)
            self.child = None

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.child is not None:
            self.child.reap()
            self.child = None

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        if self.child is not None:
            self.child.send_group(signal.SIGSTOP)

    def resume(self) -> None:
        """End of ``pause``."""
        if self.child is not None:
            self.child.send_group(signal.SIGCONT)


def until(holds: Callable[[], bool], timeout: float, what: str) -> None:
    """Wait until something holds that no event tells."""
    deadline = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {timeout:.0f} s: {what}")
        time.sleep(0.05)
