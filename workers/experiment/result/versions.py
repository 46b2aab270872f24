"""What a run was made with: another version may ask otherwise, and draw the same all the same."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from shared import __version__
from workers.experiment.languages.catalogues import FOLDER as CATALOGUES
from workers.experiment.principles.tables import FILE as TABLES

#: Characters of a hash that a sentence shows.
_SHOWN = 12


@cache
def versions() -> Mapping[str, str]:
    """Of Parley and Python; ``prompts`` is the SHA-256 of every text that agents are asked with, of all
    languages, and of the printed tables.
    """
    return MappingProxyType(
        {"parley": __version__, "python": platform.python_version(), "prompts": prompts_hash()}
    )


def prompts_hash() -> str:
    """SHA-256 of the catalogues and the tables: each file's place and length, and its bytes."""
    files = {path.relative_to(CATALOGUES).as_posix(): path for path in CATALOGUES.glob("*/*.yaml")}
    hashed = hashlib.sha256()
    for place, path in (*sorted(files.items()), ("tables", TABLES)):
        content = path.read_bytes()
        hashed.update(f"{place} {len(content)}\n".encode())
        hashed.update(content)
    return hashed.hexdigest()


def difference(made: Mapping[str, str], here: Mapping[str, str]) -> str | None:
    """A sentence that names both versions, where a run was made with others than these; else ``None``.

    Python's does not count: prompts and draws are the same under each that Parley runs on.
    """
    if all(made.get(name) == here.get(name) for name in ("parley", "prompts")):
        return None
    both = f"The run was made with {_told(made)}; this is {_told(here)}"
    return f"{both}: replay it with the version that made it."


def _told(versions: Mapping[str, str]) -> str:
    prompts = versions.get("prompts")
    shown = "unknown" if prompts is None else f"SHA-256 {prompts[:_SHOWN]}…"
    return f"Parley {versions.get('parley', 'of an unknown version')} (prompts: {shown})"
