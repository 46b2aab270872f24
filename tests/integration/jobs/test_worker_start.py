"""A worker that cannot work says why and ends: it must not stay, take wake-ups and run nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import roles

#: Starts a worker whose runtime breaks in a way that nobody foresaw.
_BROKEN = """
import workers.app

def broken(runtime):
    raise RuntimeError("no way to redis://parley:the-password@redis/0")

workers.app.Runtime.start = broken
workers.app.app.worker_main(["worker", "-P", "threads", "-c", "1", "--without-gossip", "--without-mingle"])
"""


def started(command: list[str], **settings: str) -> subprocess.CompletedProcess[str]:
    """A worker that ended by itself."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    # No Redis answers there, which is no reason to end.
    environment |= {"PARLEY_REDIS_URL": "redis://127.0.0.1:1/0", "PARLEY_LOG_FORMAT": "json", **settings}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The line on standard error that tells the operator."""
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("parley worker: ")]
    return line


@pytest.mark.parametrize("key", ["the-key-of-somebody", "the-key-of-somebody,", "ключ"])
def test_a_key_that_is_none_ends_the_worker_with_a_line(key: str) -> None:
    done = started(roles.worker(concurrency=1).command(), PARLEY_SECRET_KEY=key)
    assert done.returncode == 2, done.stderr
    assert "PARLEY_SECRET_KEY" in said(done)
    assert "make one with" in said(done)
    assert key.strip(",") not in done.stdout + done.stderr


def test_without_a_key_the_line_names_the_settings() -> None:
    done = started(roles.worker(concurrency=1).command())
    assert done.returncode == 2, done.stderr
    for setting in ("PARLEY_SECRET_KEY", "PARLEY_SECRET_KEY_FILE", "PARLEY_DATA_DIR"):
        assert setting in said(done)


def test_a_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    done = started(roles.worker(concurrency=1).command(), PARLEY_SECRET_KEY_FILE=str(missing))
    assert done.returncode == 2, done.stderr
    assert str(missing) in said(done)
    assert "PARLEY_SECRET_KEY_FILE" in said(done)


def test_what_nobody_foresaw_is_logged_with_its_place_and_ends_the_worker() -> None:
    done = started([sys.executable, "-c", _BROKEN])
    assert done.returncode == 70, done.stderr
    assert said(done) == "parley worker: it could not start, its log says why (RuntimeError)"
    (logged,) = [line for line in done.stderr.splitlines() if '"level":"CRITICAL"' in line]
    assert "in broken" in logged
    assert "the-password" not in done.stdout + done.stderr
