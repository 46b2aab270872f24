"""A thread that starts the zygote, and another one whenever it dies."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from workers.sandbox.limits import ScriptLimits
from workers.sandbox.process.launch import CLOSING, TIMEOUT, SandboxUnavailableError, ZygoteProcess, launch

log = logging.getLogger(__name__)

#: Seconds before another attempt when a zygote does not come up, doubled up to the second.
AGAIN, AGAIN_AT_MOST = 0.1, 10.0


class Keeper:
    """Owns the zygote, in a thread of its own: the kernel ends a zygote with the thread that made it."""

    def __init__(
        self, limits: ScriptLimits, language: str, changed: Callable[[ZygoteProcess | None], None]
    ) -> None:
        self._limits, self._language, self._changed = limits, language, changed
        self._thread = threading.Thread(target=self._keep, name="parley-zygote", daemon=True)
        self._settled = threading.Event()
        self._closing = threading.Event()
        self._zygote: ZygoteProcess | None = None
        self._refusal: SandboxUnavailableError | None = None

    def start(self) -> None:
        """Wait for the first zygote. Raises :class:`SandboxUnavailableError`; then nothing is left."""
        self._thread.start()
        self._settled.wait(TIMEOUT * 2)
        if self._refusal is not None:
            raise self._refusal

    def close(self) -> None:
        """End the zygote and its children, and wait for that."""
        self._closing.set()
        zygote = self._zygote
        if zygote is not None:
            zygote.end()
        self._thread.join(CLOSING * 2)

    def _keep(self) -> None:
        pause = AGAIN
        while not self._closing.is_set():
            try:
                zygote = launch(self._limits, self._language)
            except SandboxUnavailableError as error:
                if not self._settled.is_set():
                    self._refusal = error
                    self._settled.set()
                    return
                log.error("the process that scripts are forked from cannot be restarted: %s", error)
            else:
                pause = AGAIN
                self._zygote = zygote
                if self._closing.is_set():
                    zygote.end()
                    return
                self._changed(zygote)
                self._settled.set()
                status = zygote.process.wait()
                self._zygote = None
                if self._closing.is_set():
                    return
                log.warning("the process that scripts are forked from ended with status %s", status)
                self._changed(None)
            self._closing.wait(pause)
            pause = min(pause * 2, AGAIN_AT_MOST)
