"""A thread that starts the zygote, and another one whenever it dies."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress

from workers.sandbox.limits import ScriptLimits
from workers.sandbox.process import seccomp
from workers.sandbox.process.launch import CLOSING, TIMEOUT, SandboxUnavailableError, ZygoteProcess, launch

log = logging.getLogger(__name__)

#: Seconds before another attempt when a zygote does not come up, doubled up to the second.
AGAIN, AGAIN_AT_MOST = 0.1, 10.0
_PR_SET_CHILD_SUBREAPER = 36


class Keeper:
    """Owns the zygote, in a thread of its own: the kernel ends a zygote with the thread that made it."""

    def __init__(
        self, limits: ScriptLimits, language: str, changed: Callable[[ZygoteProcess | None, str | None], None]
    ) -> None:
        """``changed`` is called by the thread: with a new zygote, or None and why no other comes up."""
        self._limits, self._language, self._changed = limits, language, changed
        self._thread = threading.Thread(target=self._keep, name="parley-zygote", daemon=True)
        self._settled = threading.Event()
        self._closing = threading.Event()
        self._zygote: ZygoteProcess | None = None
        self._refusal: SandboxUnavailableError | None = None

    def start(self) -> None:
        """Wait for the first zygote. Raises :class:`SandboxUnavailableError`; then nothing is left."""
        _adopt_orphans(True)
        self._thread.start()
        if not self._settled.wait(TIMEOUT * 2):
            self._refusal = SandboxUnavailableError("the process for scripts does not come up")
        if self._refusal is not None:
            self.close()
            raise self._refusal

    def close(self) -> None:
        """End the zygote and its children, and wait for that."""
        self._closing.set()
        zygote = self._zygote
        if zygote is not None:
            zygote.end()
        if self._thread.is_alive():
            self._thread.join(CLOSING * 2)
        _adopt_orphans(False)

    def _keep(self) -> None:
        pause = AGAIN
        while not self._closing.is_set():
            try:
                zygote = launch(self._limits, self._language)
            except Exception as failure:
                error = SandboxUnavailableError(str(failure))
                if not self._settled.is_set():
                    self._refusal = error
                    self._settled.set()
                    return
                log.error("the process that scripts are forked from cannot be restarted: %s", error)
                self._changed(None, str(error))
            else:
                pause = AGAIN
                self._zygote = zygote
                if self._closing.is_set():
                    zygote.end()
                    return
                self._changed(zygote, None)
                self._settled.set()
                status = zygote.process.wait()
                _bury(zygote.process.pid)
                self._zygote = None
                if self._closing.is_set():
                    return
                log.warning("the process that scripts are forked from ended with status %s", status)
                self._changed(None, None)
            self._closing.wait(pause)
            pause = min(pause * 2, AGAIN_AT_MOST)


def _adopt_orphans(adopt: bool) -> None:
    """What a zygote leaves behind when it is killed comes to this process: a container may have no init."""
    with suppress(OSError, AttributeError):
        seccomp.prctl()(_PR_SET_CHILD_SUBREAPER, adopt, 0, 0, 0)


def _bury(group: int) -> None:
    """Wait for the orphans of a zygote: the kernel kills them with it, and they are of its process group."""
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-group, 0)
