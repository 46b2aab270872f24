"""Children end with their group and with us, and are never mistaken for others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from deploy.local.process import (
    Child,
    ProcessIdentity,
    end_commands,
    end_leftover,
    run_command,
    start_mark,
    wait_gone,
)

PYTHON = sys.executable
#: Ignores SIGTERM, starts a child of its own in the same group, and prints both pids.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(60)
"""
PARENT = """
import sys, time
from deploy.local.process import Child
child = Child.spawn([sys.executable, "-c", "import time; time.sleep(60)"], name="child")
print(child.pid, flush=True)
time.sleep(60)
"""


def identity(pid: int) -> ProcessIdentity:
    found = ProcessIdentity.of(pid)
    assert found is not None
    return found


def test_one_that_will_not_stop_is_killed_with_its_group() -> None:
    reading, writing = os.pipe()
    child = Child.spawn([PYTHON, "-c", STUBBORN], name="stubborn", output=writing)
    os.close(writing)
    with os.fdopen(reading) as printed:
        leader, grandchild = map(int, printed.readline().split())
    assert leader == child.pid == os.getpgid(grandchild)
    below = identity(grandchild)
    assert child.end(signal.SIGTERM, 0.2) == -signal.SIGKILL
    assert wait_gone([below], 5)


def test_one_that_is_stopped_is_ended_all_the_same() -> None:
    child = Child.spawn([PYTHON, "-c", "import time; time.sleep(60)"], name="paused")
    child.send(signal.SIGSTOP)
    assert child.end(signal.SIGTERM, 10) == -signal.SIGTERM


def test_asking_whether_it_runs_does_not_reap_it() -> None:
    child = Child.spawn([PYTHON, "-c", "raise SystemExit(7)"], name="short")
    assert child.wait(10)
    assert not child.running()
    assert child.returncode is None
    assert child.reap() == 7
    assert not child.running()


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux tells children of their parent's death"
)
def test_children_do_not_outlive_a_killed_parent() -> None:
    with subprocess.Popen([PYTHON, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = identity(int(parent.stdout.readline()))
        parent.kill()
        assert wait_gone([child], 5)


def test_a_leftover_is_ended_and_a_stranger_with_its_pid_is_not() -> None:
    child = Child.spawn([PYTHON, "-c", "import time; time.sleep(60)"], name="left")
    mine = identity(child.pid)
    assert not end_leftover(ProcessIdentity(child.pid, "another start"), signal.SIGTERM, 1)
    assert child.running()
    assert end_leftover(mine, signal.SIGTERM, 5)
    assert child.reap() == -signal.SIGTERM
    assert not end_leftover(mine, signal.SIGTERM, 1)


def test_a_zombie_is_no_running_process() -> None:
    child = Child.spawn([PYTHON, "-c", ""], name="zombie")
    assert child.wait(10)
    assert ProcessIdentity.of(child.pid) is None
    child.reap()


def test_a_command_is_run_with_its_output(tmp_path: Path) -> None:
    assert run_command(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"]) == (3, "out\nerr\n")


def test_a_command_of_another_thread_is_ended_with_what_it_started(tmp_path: Path) -> None:
    told = tmp_path / "child"
    command = ["sh", "-c", f"sleep 600 & echo $! > {told}.part; mv {told}.part {told}; wait"]
    ended: list[int] = []
    thread = threading.Thread(target=lambda: ended.append(run_command(command)[0]))
    thread.start()
    while not told.exists():
        assert thread.is_alive()
        time.sleep(0.01)
    child = int(told.read_text())
    end_commands()
    thread.join(5)
    assert ended == [-signal.SIGKILL]
    deadline = time.monotonic() + 5
    while start_mark(child) is not None:
        assert time.monotonic() < deadline, "the command's own child was left behind"
        time.sleep(0.01)
