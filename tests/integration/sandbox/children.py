"""The processes that a test has started, and whether they have gone."""

from __future__ import annotations

import os
import time

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
    """Whether none of ``pids`` exists any more, not as a zombie either, after a while."""
    processes = []
    for pid in pids:
        try:
            processes.append(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    return not psutil.wait_procs(processes, PATIENCE)[1]


def ended(pids: set[int]) -> bool:
    """Whether none of ``pids`` runs any more, after a while; whoever inherited them need not have waited."""
    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if not any(
            process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes
        ):
            return True
        time.sleep(0.02)
    return False


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
