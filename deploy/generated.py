"""Files of the repository that are written from something else: written again, or only compared."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path


class UndocumentedError(Exception):
    """What is to be written down has no comment that tells its meaning; the message names it."""


def keep_current(arguments: list[str], script: str, texts: Callable[[], Mapping[Path, str]]) -> int:
    """Write the files that are not as they should be; with ``--check`` only name them.

    Args:
        arguments: of the command line.
        script: what people run to write the files; for messages.
        texts: the files and what is to stand in each.

    Returns:
        The exit status: 1 when ``--check`` found a difference or something is undocumented, 2 for other
        arguments.
    """
    if arguments not in ([], ["--check"]):
        print(f"usage: {script} [--check]", file=sys.stderr)
        return 2
    try:
        wanted = texts()
    except UndocumentedError as error:
        print(error, file=sys.stderr)
        return 1
    different = {path: text for path, text in wanted.items() if not _holds(path, text)}
    for path, text in different.items():
        if arguments:
            print(f"{path} is not current: run {script}", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
    return 1 if arguments and different else 0


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text
