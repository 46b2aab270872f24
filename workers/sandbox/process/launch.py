"""Starting a zygote: exec'ed with nothing but a control socket, and asked whether it holds."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.sandbox.limits import ScriptLimits

#: Seconds from exec to the end of the self-test.
TIMEOUT = 30.0
#: Seconds that a zygote may take to end its children and itself.
CLOSING = 2.0
_PACKET = 4096
#: What the new process is told to run: find the code, become the zygote.
_BOOT = (
    "import sys; sys.path += sys.argv[3:]; "
    "from workers.sandbox.process.zygote import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)


class SandboxUnavailableError(Exception):
    """Scripts cannot be confined on this machine; the message says why and what would help."""


@dataclass
class ZygoteProcess:
    """A zygote that is ready, seen from the worker."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    #: The rules that its children compile under, and their interpreter.
    policy: str
    #: The account that scripts run under.
    uid: int
    #: The version of Landlock in force, 0 for none.
    landlock: int

    def end(self) -> None:
        """Close the control socket, which ends it and its children; wait for that."""
        with suppress(OSError):
            self.control.shutdown(socket.SHUT_RDWR)
        try:
            self.process.wait(CLOSING)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def launch(limits: ScriptLimits, language: str) -> ZygoteProcess:
    """Start a zygote; it dies with the calling thread. Raises :class:`SandboxUnavailableError`."""
    if not sys.platform.startswith("linux"):
        raise SandboxUnavailableError(
            f"scripts run on Linux only: {sys.platform} has no seccomp to confine them"
        )
    paths = [_root("workers", 2), _root("RestrictedPython", 2)]
    # Isolated, and without site: no variable, no user's directory, no .pth file has a say.
    command = [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOT]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with theirs:
            process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(os.getpid()), *paths],
                env={},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
    except OSError as error:
        ours.close()
        raise SandboxUnavailableError(f"no process for scripts could be started: {error}") from error
    try:
        return _meet(process, ours, {"cpu": limits.cpu, "memory": limits.memory, "language": language})
    except BaseException:
        ours.close()
        process.kill()
        process.wait()
        raise
    finally:
        assert process.stderr is not None
        process.stderr.close()


def _meet(process: subprocess.Popen[bytes], control: socket.socket, config: dict[str, Any]) -> ZygoteProcess:
    control.settimeout(TIMEOUT)
    try:
        control.send(json.dumps(config).encode())
        answer = json.loads(control.recv(_PACKET) or b"{}")
    except TimeoutError:
        raise SandboxUnavailableError(
            f"the process for scripts was not ready within {TIMEOUT:.0f} s"
        ) from None
    except (OSError, ValueError):
        answer = {}
    if "refused" in answer:
        raise SandboxUnavailableError(answer["refused"])
    if "ready" not in answer:
        with suppress(subprocess.TimeoutExpired):
            process.wait(CLOSING)
        raise SandboxUnavailableError(f"the process for scripts could not start: {_last_words(process)}")
    control.setblocking(False)
    policy = f"{answer['ready']} {sys.implementation.cache_tag} {sys.hexversion:x}"
    return ZygoteProcess(process, control, policy, answer["uid"], answer["landlock"])


def _last_words(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr is not None
    os.set_blocking(process.stderr.fileno(), False)
    said = (process.stderr.read() or b"").decode(errors="replace").strip().splitlines()
    return said[-1][:500] if said else f"it ended with status {process.returncode}"


def _root(package: str, levels: int) -> str:
    """The directory that ``package`` is imported from."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise SandboxUnavailableError(f"the package {package} is not installed")
    return str(Path(found.origin).resolve().parents[levels - 1])
