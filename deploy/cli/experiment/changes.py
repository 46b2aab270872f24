"""Changes of a configuration that are given on the command line: ``--set``, and a file of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer


def read_changes(file: Path | None, given: list[str]) -> dict[str, Any]:
    """The changes of a file, and those of ``--set`` over them.

    Raises:
        typer.BadParameter: one cannot be read, or there are none.
    """
    from shared.errors import ValidationError
    from shared.schemas.yaml_document import read_yaml

    changes: dict[str, Any] = {}
    if file is not None:
        try:
            read = read_yaml(file.read_bytes())
        except ValidationError as error:
            raise typer.BadParameter(f"{file}: {error.detail}", param_hint="--changes") from None
        except OSError as error:
            raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="--changes") from None
        if not isinstance(read, dict):
            raise typer.BadParameter(f"{file} must be a mapping of keys", param_hint="--changes")
        changes = read
    for one in given:
        key, equals, text = one.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            raise typer.BadParameter(f"{one!r} must be KEY=VALUE", param_hint="--set")
        try:
            value = None if not text.strip() else read_yaml(text.encode())
        except ValidationError as error:
            raise typer.BadParameter(f"{one!r}: {error.detail}", param_hint="--set") from None
        section = changes
        for part in parts[:-1]:
            inner = section.setdefault(part, {})
            if not isinstance(inner, dict):
                raise typer.BadParameter(f"{one!r}: {part} is no section here", param_hint="--set")
            section = inner
        section[parts[-1]] = value
    return changes


def apply(changes: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """A document with the changes in it: sections are merged, other values replaced.

    ``agents``, a list in the document, is a mapping from names to what differs of them in the changes.

    Raises:
        typer.BadParameter: an agent that is named is not there.
    """
    changed = dict(document)
    for key, value in changes.items():
        there = changed.get(key)
        if key == "agents" and isinstance(there, list) and isinstance(value, dict):
            changed[key] = _agents(there, value)
        elif isinstance(there, dict) and isinstance(value, dict) and key != "models":
            changed[key] = {**there, **value}
        else:
            changed[key] = value
    return changed


def _agents(agents: list[Any], changes: dict[str, Any]) -> list[Any]:
    names = [str(agent.get("name")) for agent in agents if isinstance(agent, dict)]
    for name, value in changes.items():
        if name not in names:
            raise typer.BadParameter(
                f"there is no agent {name!r}; the agents are {', '.join(names[:10])}", param_hint="--set"
            )
        if not isinstance(value, dict):
            raise typer.BadParameter(
                f"agents.{name} needs a key: agents.{name}.KEY=VALUE", param_hint="--set"
            )
    return [
        {**agent, **changes.get(str(agent.get("name")), {})} if isinstance(agent, dict) else agent
        for agent in agents
    ]
