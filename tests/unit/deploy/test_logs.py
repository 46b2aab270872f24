"""Logs are kept for some runs, and can be read and followed."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from deploy.local.logs import KEPT, follow_logs, open_log, rotate, tail


def write(path: Path, text: str) -> None:
    with open_log(path) as log:
        log.write(text.encode())


def test_older_runs_are_kept_and_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    for run in range(KEPT + 3):
        rotate(path)
        write(path, f"run {run}\n")
    newest = KEPT + 2
    found = {file.name: file.read_text() for file in tmp_path.iterdir()}
    expected = {f"part.log.{age}": f"run {newest - age}\n" for age in range(1, KEPT + 1)}
    assert found == {"part.log": f"run {newest}\n", **expected}


def test_an_empty_log_is_no_run(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    write(path, "")
    rotate(path)
    assert [file.name for file in tmp_path.iterdir()] == ["part.log"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("lines", [0, 1, 3, 10_000])
def test_the_tail_is_the_last_lines(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "part.log"
    content = [f"line {number} " + "x" * 50 for number in range(5000)]
    write(path, "\n".join(content) + "\n")
    assert tail(path, lines) == (content[-lines:] if lines else [])


def test_there_is_no_tail_of_no_log(tmp_path: Path) -> None:
    assert tail(tmp_path / "none.log", 5) == []


def test_following_sees_whole_lines_and_goes_on_after_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    write(path, "before\n")
    following = follow_logs({"part": path})

    # A follower looks from its first question on; what it is asked for comes while it waits.
    writers = [
        threading.Timer(0.2, write, (path, "half")),
        threading.Timer(0.6, write, (path, " and whole\n")),
    ]
    for writer in writers:
        writer.start()
    assert next(following) == ("part", "half and whole")
    rotate(path)
    write(path, "a new run\n")
    assert next(following) == ("part", "a new run")
    for writer in writers:
        writer.join()
