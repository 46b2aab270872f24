"""The process that scripts' processes are forked from: warm, without secrets, without privileges.

It is exec'ed, not forked, from the worker, so that nothing of the worker is in its memory. It reads
everything it will ever need, gives up its rights, and then does as the control socket says, one packet each:

- ``spawn <number>`` with one end of a stream socket → ``{"spawned": number, "pid": …}`` with the new
  process's pidfd, or ``{"failed": number, "reason": …}``;
- ``demote <pid>`` → that process steps aside for all others;
- ``{"ended": [[pid, status, CPU seconds], …]}`` comes unasked.

When the control socket closes, it ends, and its children with it.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, cast

from workers.sandbox.process import child, frames, landlock, seccomp

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
#: What the kernel kills first when memory is short: from -1000 to 1000.
_FIRST_TO_DIE = 1000
#: The account of a worker that runs as root: nobody.
_NOBODY = 65534
#: Script processes that compute for long have the lowest priority.
_LOWEST_PRIORITY = 19
#: Seconds that the self-test may take.
_SELF_TEST = 10.0
_PACKET = 4096


class RefusedError(Exception):
    """Scripts cannot be confined here; the message says why."""


def main(control_fd: int, parent: int) -> NoReturn:
    """Become the zygote of the process ``parent``, which holds the other end of ``control_fd``."""
    control = socket.socket(fileno=control_fd)
    try:
        zygote = Zygote(control, parent, json.loads(control.recv(_PACKET)))
    except (RefusedError, seccomp.SeccompUnavailableError) as error:
        control.send(json.dumps({"refused": str(error)[: _PACKET // 2]}).encode())
        sys.exit(1)
    zygote.serve()
    sys.exit(0)


class Zygote:
    """Prepared by its constructor, which raises :class:`RefusedError`; :meth:`serve` does the work."""

    def __init__(self, control: socket.socket, parent: int, config: dict[str, Any]) -> None:
        self._control = control
        #: pidfd → pid of the children that were not reaped yet.
        self._children: dict[int, int] = {}
        for signal_ in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # The worker ends this process. A signal to all of them must not cut the scripts off before it.
            signal.signal(signal_, signal.SIG_IGN)
        self._language = cast(child.Language, importlib.import_module(config["language"]))
        self._language.warm()
        self._rehearsal = self._language.compile_script(child.REHEARSAL).code
        # Local time is UTC, and is known before nothing can be opened any more. The interpreter's own view of
        # the environment stays empty.
        os.environ.clear()
        os.putenv("TZ", "UTC0")
        time.tzset()
        self._filter = seccomp.SystemCallFilter.for_this_machine()
        _stand_first_in_line_to_die()
        pages = int(_read("/proc/self/statm").split()[0])
        _give_up_privileges()
        seccomp.prctl()(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)
        seccomp.no_new_privileges()
        if seccomp.prctl()(_PR_SET_DUMPABLE, 0, 0, 0, 0):
            raise RefusedError("the kernel lets this process be inspected")
        self._landlock = landlock.restrict()
        self._poll = select.epoll()
        self._poll.register(control.fileno(), select.EPOLLIN)
        gc.collect()
        gc.freeze()
        memory = pages * resource.getpagesize() + config["memory"]
        self._bounds = child.Bounds(cpu=config["cpu"], memory=memory)
        self._pid = os.getpid()
        self._test()

    def serve(self) -> None:
        """Fork and reap until the worker closes the control socket."""
        self._say({"ready": self._language.POLICY_VERSION, "landlock": self._landlock, "uid": os.getuid()})
        while True:
            ended = []
            for descriptor, _ in self._poll.poll():
                if descriptor != self._control.fileno():
                    ended.append(self._reap(descriptor))
                elif not self._obey():
                    self._end_all()
                    return
            if ended:
                self._say({"ended": ended})

    def _obey(self) -> bool:
        try:
            packet, descriptors, _, _ = socket.recv_fds(self._control, _PACKET, 1)
        except OSError:
            return False
        if not packet:
            return False
        order, _, number = packet.decode().partition(" ")
        if order == "spawn":
            self._spawn(int(number), descriptors[0])
        elif order == "demote" and int(number) in self._children.values():
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, int(number), _LOWEST_PRIORITY)
        return True

    def _spawn(self, number: int, connection: int) -> None:
        try:
            pid = self._fork(connection)
            pidfd = os.pidfd_open(pid)
        except OSError as error:
            self._say({"failed": number, "reason": error.strerror})
        else:
            self._children[pidfd] = pid
            self._poll.register(pidfd, select.EPOLLIN)
            self._say({"spawned": number, "pid": pid}, pidfd)
        finally:
            os.close(connection)

    def _fork(self, connection: int) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            own = child.confine(connection, self._bounds, self._pid, self._filter)
            gc.enable()
            child.run(own, self._language, self._rehearsal)
        finally:
            # Whatever went wrong: this process must not come back to the zygote's loop.
            os._exit(child.UNCONFINED)

    def _reap(self, pidfd: int) -> tuple[int, int, float]:
        """The child's pid, its exit status, and the CPU time that it took, in seconds."""
        pid = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, status, used = os.wait4(pid, 0)
        return pid, os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime

    def _end_all(self) -> None:
        for pidfd in list(self._children):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            self._reap(pidfd)

    def _say(self, message: dict[str, Any], descriptor: int | None = None) -> None:
        packet = json.dumps(message).encode()
        try:
            socket.send_fds(self._control, [packet], [] if descriptor is None else [descriptor])
        except OSError:
            # The worker is gone; the loop is about to see it.
            return

    # ---- Is it so? -----------------------------------------------------------------------------------

    def _test(self) -> None:
        """A child really dies of a forbidden call, and another one really runs a script."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            pid = os.fork()
            if not pid:
                try:
                    child.confine(theirs.fileno(), self._bounds, self._pid, self._filter)
                    os.getppid()
                except BaseException as error:
                    os.write(child.SOCKET, str(error).encode()[:_PACKET])
                finally:
                    os._exit(child.UNCONFINED)
            status = _wait(pid)
            theirs.close()
            reason = ours.recv(_PACKET).decode(errors="replace")
        if reason:
            raise RefusedError(reason)
        if status != -signal.SIGSYS:
            raise RefusedError(
                f"the filter of system calls does not hold (a test ended with {status}, not by it)"
            )
        ours, theirs = socket.socketpair()
        with ours, theirs:
            pid = self._fork(theirs.fileno())
            theirs.close()
            ours.settimeout(_SELF_TEST)
            request = {"do": "run", "source": "answer = 6 * 7", "compiled": False, "keep": False}
            request |= {"functions": [], "attributes": {}, "payload": 1024, "output": 1024, "calls": 0}
            ours.sendall(frames.pack(frames.encode(request)))
            with suppress(frames.FrameError, OSError):
                answer = json.loads(frames.receive(ours, _PACKET))
                if answer.get("done", {}).get("variables") == {"answer": 42}:
                    _wait(pid)
                    return
                raise RefusedError(f"a test script brought {str(answer)[:500]}")
        raise RefusedError(f"a test script ended with {_wait(pid)}, without a result")


def _wait(pid: int) -> int:
    """The exit status of ``pid``, negative for a signal; killed when it does not end."""
    pidfd = os.pidfd_open(pid)
    try:
        if not select.select([pidfd], [], [], _SELF_TEST)[0]:
            os.kill(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(pidfd)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError as error:
        raise RefusedError(f"{path} cannot be read ({error.strerror}); is /proc mounted?") from error


def _stand_first_in_line_to_die() -> None:
    """Before anything is given up: afterwards the file belongs to root."""
    try:
        Path("/proc/self/oom_score_adj").write_text(str(_FIRST_TO_DIE))
    except OSError as error:
        raise RefusedError(f"/proc/self/oom_score_adj cannot be written ({error.strerror})") from error


def _give_up_privileges() -> None:
    """Become nobody, when root; an ordinary account keeps its own."""
    if os.geteuid() != 0:
        return
    try:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    except OSError as error:
        raise RefusedError(
            f"root's privileges cannot be dropped ({error.strerror}): run the worker under an ordinary "
            "account, or leave it the capabilities SETUID and SETGID"
        ) from error
