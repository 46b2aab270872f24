"""The processes that a test has started, and whether they have gone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import psutil

#: Seconds for processes to end.
PATIENCE = 5.0


def descendants(of: int | None = None) -> set[int]:
    """The process ids of all children, their children and so on."""
    try:
        return {child.pid for child in psutil.Process(of or os.getpid()).children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()


def gone(pids: set[int]) -> bool:
    """Whether none of ``pids`` exists any more, nor its zombie, after a while; reaps none itself."""
    return _soon(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def ended(pids: set[int]) -> bool:
    """Whether none of ``pids`` runs any more, after a while; whoever inherited them need not have waited."""
    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    return _soon(lambda: not any(_runs(process) for process in processes))


def _soon(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
