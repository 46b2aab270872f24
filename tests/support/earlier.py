"""The code that an upgrade begins from: the newest release, or what was there before the newest migration."""

from __future__ import annotations

import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_MIGRATIONS = "shared/database/migrations/versions"


@dataclass(frozen=True)
class EarlierCode:
    """Code of an earlier commit, unpacked.

    Attributes:
        root: its checkout.
        called: the release or the commit.
        schema: the newest migration that it knows.
    """

    root: Path
    called: str
    schema: str


def newest_migration(root: Path = _ROOT) -> str:
    """The newest migration of a checkout, by its number."""
    return max(path.name for path in (root / _MIGRATIONS).glob("[0-9]*.py")).split("_")[0]


def unpack_earlier(target: Path) -> EarlierCode:
    """Unpack the newest release, or before the first one the commit before the newest migration.

    Where the newest migration is not committed yet, that is the newest commit. Skips where there is no
    history to look at: in a source distribution, or a checkout of the newest commit only.
    """
    if _git("rev-parse", "--is-inside-work-tree").strip() != "true":
        pytest.skip("no history is here: an upgrade from earlier code cannot be tried")
    called = _git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD").strip()
    if called and _git("rev-parse", f"{called}^{{commit}}") == _git("rev-parse", "HEAD"):
        called = _git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD^").strip()
    if not called:
        newest = next((_ROOT / _MIGRATIONS).glob(f"{newest_migration()}_*.py")).name
        added = _git("log", "--diff-filter=A", "--format=%H", "--", f"{_MIGRATIONS}/{newest}").split()
        called = _git("rev-parse", "--short", f"{added[-1]}^" if added else "HEAD").strip()
    content = subprocess.run(
        ["git", "archive", "--format=tar", called, "--", "gateway", "workers", "shared", "deploy"],
        cwd=_ROOT,
        capture_output=True,
        check=False,
    )
    if not called or content.returncode:
        pytest.skip("the history ends before the newest migration: fetch it to try an upgrade from there")
    with tarfile.open(fileobj=io.BytesIO(content.stdout)) as archive:
        archive.extractall(target, filter="data")
    return EarlierCode(target, called, newest_migration(target))


def _git(*arguments: str) -> str:
    """What git says; nothing when it refuses or is not there."""
    try:
        return subprocess.run(
            ["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return ""
