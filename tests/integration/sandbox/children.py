"""The processes that a test has started, and whether they have gone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import psutil

#: Seconds for processes to end.
PATIENCE = 5.0


#: What other tests of this process have left running for the whole session; its children come and go.
_SERVERS = ("postgres", "valkey", "celery", "gateway", "model_server")


def descendants(of: int | None = None, *, but: frozenset[int] = frozenset()) -> set[int]:
    """The process ids of all children, their children and so on, but for the session's servers.

    Args:
        of: whose; default: this process's.
        but: children that are left out with all below them.
    """
    try:
        children = psutil.Process(of or os.getpid()).children()
    except psutil.NoSuchProcess:
        return set()
    found: set[int] = set()
    for child in children:
        if child.pid in but:
            continue
        try:
            if of is None and any(server in " ".join(child.cmdline()) for server in _SERVERS):
                continue
            found |= {child.pid, *(below.pid for below in child.children(recursive=True))}
        except psutil.NoSuchProcess:
            continue
    return found


def gone(pids: set[int]) -> bool:
    """Whether none of ``pids`` exists any more, nor its zombie, after a while; reaps none itself."""
    return _soon(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def ended(pids: set[int]) -> bool:
    """Whether none of ``pids`` runs any more, after a while; whoever inherited them need not have waited."""
    processes = [process for pid in pids if (process := _process(pid)) is not None]
    return _soon(lambda: not any(_runs(process) for process in processes))


def _soon(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
