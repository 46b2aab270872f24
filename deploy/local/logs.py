"""Logs of the parts: one file each, the runs before it under numbers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

#: Older logs that are kept.
KEPT = 5
_FOLLOW_PAUSE = 0.2  # seconds


def rotate(path: Path) -> None:
    """Make room for a new log: ``x.log`` becomes ``x.log.1``, and so on; the oldest goes."""
    if not path.exists() or path.stat().st_size == 0:
        return
    for number in range(KEPT, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        newer = path if number == 1 else path.with_name(f"{path.name}.{number - 1}")
        if newer.exists():
            newer.replace(older)


def open_log(path: Path) -> BinaryIO:
    """Open a log for appending; only its owner can read it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    return os.fdopen(descriptor, "ab", buffering=0)


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log; none when there is no log."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            data = b""
            while end > 0 and data.count(b"\n") <= lines:
                step = min(65536, end)
                end -= step
                file.seek(end)
                data = file.read(step) + data
    except FileNotFoundError:
        return []
    return data.decode(errors="replace").splitlines()[-lines:] if lines else []


def follow_logs(paths: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """What is written to the logs from now on, line by line with the log's name; never ends.

    A log that is rotated away is followed under its name.
    """
    marks = {name: _Mark(path) for name, path in paths.items()}
    while True:
        quiet = True
        for name, mark in marks.items():
            for line in mark.news():
                quiet = False
                yield name, line
        if quiet:
            time.sleep(_FOLLOW_PAUSE)


class _Mark:
    """How far a log was read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.inode, self.offset = self._now()
        self.rest = b""

    def _now(self) -> tuple[int, int]:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_ino, found.st_size

    def news(self) -> list[str]:
        """The lines that were finished since the last look."""
        inode, size = self._now()
        if inode != self.inode or size < self.offset:
            self.inode, self.offset, self.rest = inode, 0, b""
        if size == self.offset:
            return []
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = self.rest + file.read(size - self.offset)
        self.offset = size
        *lines, self.rest = data.split(b"\n")
        return [line.decode(errors="replace") for line in lines]
