"""One stack for one data directory."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.errors import AlreadyRunningError
from deploy.local.lock import StackLock

HOLDER = """
import sys, time
from pathlib import Path
from deploy.local.lock import StackLock
lock = StackLock(Path(sys.argv[1])); lock.acquire(); print("held", flush=True); time.sleep(60)
"""


def test_only_one_holds_it(tmp_path: Path) -> None:
    first, second = StackLock(tmp_path / "run" / "lock"), StackLock(tmp_path / "run" / "lock")
    first.path.parent.mkdir()
    assert not first.held()
    with first:
        assert second.held()
        with pytest.raises(AlreadyRunningError, match="parley down"):
            second.acquire()
    assert not second.held()
    second.acquire()
    second.release()


def test_a_killed_holder_holds_it_no_longer(tmp_path: Path) -> None:
    lock = StackLock(tmp_path / "lock")
    with subprocess.Popen([sys.executable, "-c", HOLDER, lock.path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert lock.held()
        assert not lock.wait_free(0.1)
        holder.send_signal(signal.SIGKILL)
        assert lock.wait_free(10)
