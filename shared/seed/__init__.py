"""What a new user finds: the persona Ava, and the two modules that are her memory.

Metadata lies in YAML, scripts in ``.py``, templates in ``.txt`` of the same name. The scripts run where
scripts of users run; nothing imports them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_HERE = Path(__file__).parent
#: Lines of a script's file that speak to the tools which check Python, and are no part of the script.
_FOR_TOOLS = ("# ruff:", "# mypy:")


def persona() -> dict[str, Any]:
    """The persona, in the shape of ``POST /api/personas``."""
    return _persona("ava")


def modules() -> list[dict[str, Any]]:
    """The modules that its template refers to, each in the shape of ``POST /api/modules``."""
    return [_module(name) for name in _module_names()]


def _persona(name: str) -> dict[str, Any]:
    return {**_metadata("personas", name), "template": _text("personas", f"{name}.txt")}


def _module(name: str) -> dict[str, Any]:
    script = "".join(_script_lines(_text("modules", f"{name}.py"))) + "\n"
    return {
        "name": name,
        **_metadata("modules", name),
        "content": _text("modules", f"{name}.txt"),
        "script": script,
    }


def _module_names() -> list[str]:
    return sorted(path.stem for path in (_HERE / "modules").glob("*.yaml"))


def _script_lines(source: str) -> Iterator[str]:
    return (line for line in source.splitlines(keepends=True) if not line.startswith(_FOR_TOOLS))


def _metadata(folder: str, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(_text(folder, f"{name}.yaml"))
    return loaded


@cache
def _text(folder: str, name: str) -> str:
    return (_HERE / folder / name).read_text(encoding="utf-8").rstrip("\n")
