"""Stop a stack from outside: ask its supervisor, insist, and clean up what a killed one left."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable

from deploy.local.directories import DataDir
from deploy.local.errors import LocalStackError, NotRunningError
from deploy.local.lock import StackLock
from deploy.local.process import wait_gone
from deploy.local.state import StackState, end_leftovers

_LAST_BREATH = 5.0  # seconds between giving up the lock and the end of a process
_PATIENCE = 12.0  # seconds: a supervisor needs at most ten


def stop_stack(data: DataDir, tell: Callable[[str], None]) -> None:
    """Stop the stack of this data directory, and return when nothing of it runs.

    Raises:
        NotRunningError: nothing runs.
        LocalStackError: its supervisor cannot be signalled.
    """
    lock = StackLock(data.lock)
    state = StackState.load(data.state)
    if lock.held():
        _stop_supervisor(lock, state, data)
        if state is not None:
            wait_gone([state.supervisor], _LAST_BREATH)
    elif state is None:
        raise NotRunningError(f"No Parley runs on {data.root}.")
    with lock:
        end_leftovers(data, tell)


def _stop_supervisor(lock: StackLock, state: StackState | None, data: DataDir) -> None:
    if state is None or not state.supervisor.alive():
        # Between taking the lock and its first word; or somebody restores or backs up.
        if lock.wait_free(_PATIENCE):
            return
        raise LocalStackError(
            f"Something holds {data.lock} and does not say what it is; see: fuser {data.lock}"
        )
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(state.supervisor.pid, number)
        except ProcessLookupError:
            pass
        except PermissionError as error:
            raise LocalStackError(
                f"The Parley on {data.root} belongs to another user; stop it as that user or as root."
            ) from error
        if lock.wait_free(_PATIENCE if number == signal.SIGTERM else 2.0):
            return
    with contextlib.suppress(ProcessLookupError):
        os.kill(state.supervisor.pid, signal.SIGKILL)
