"""A configuration file: read, checked where it lies, and rewritten to other models."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from deploy.exit_codes import ExitCode

if TYPE_CHECKING:
    from shared.errors import ValidationError
    from shared.schemas.experiment.config import ExperimentConfig


@dataclass(frozen=True)
class ConfigurationFile:
    """A valid configuration, and the text that it was read from.

    Attributes:
        text: the YAML, as it is sent.
        file: the file's name; ``None`` for standard input.
        config: what it says.
    """

    text: bytes
    file: str | None
    config: ExperimentConfig


def read_text(path: Path) -> bytes:
    """The content of a file, or of standard input for ``-``.

    Raises:
        typer.BadParameter: it cannot be read.
    """
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}", param_hint="CONFIG") from error


def read_file(path: Path, *, model: str | None = None, set_: Sequence[str] = ()) -> ConfigurationFile:
    """The configuration in a file, with the changes of ``--set``, and with every model rewritten to
    ``model`` when one is given.

    Raises:
        ValidationError: it is not valid.
        typer.BadParameter: a change cannot be read.
    """
    from shared.schemas.experiment.reading import read_config

    text = read_text(path)
    if set_:
        text = with_changes(text, set_)
    if model is not None:
        text = with_model(text, model)
    return ConfigurationFile(text, None if str(path) == "-" else path.name, read_config(text))


def valid_file(path: Path, *, model: str | None = None, set_: Sequence[str] = ()) -> ConfigurationFile:
    """As :func:`read_file`; a configuration that is not valid is told, and ends the command.

    Raises:
        typer.Exit: it is not valid.
    """
    from shared.errors import ValidationError

    try:
        return read_file(path, model=model, set_=set_)
    except ValidationError as error:
        say_faults(path, error)
        raise typer.Exit(ExitCode.USAGE) from None


def say_faults(path: Path, error: ValidationError) -> None:
    """Tell every fault on standard error, with where it is."""
    faults = error.errors or [{"field": "body", "message": error.detail}]
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    typer.echo(f"parley: {path} is no valid configuration ({count}):", err=True)
    for fault in faults:
        typer.echo(f"  {fault_words(fault)}", err=True)


def fault_words(fault: dict[str, Any]) -> str:
    """A fault in a line: its path, what is wrong, and its place in the text when that is known."""
    where = ""
    if fault.get("line") is not None:
        where = f" (line {fault['line']}, column {fault['column']})"
    path = "" if fault["field"] == "body" else f"{fault['field']}: "
    return f"{path}{fault['message']}{where}"


def with_changes(text: bytes, given: Sequence[str]) -> bytes:
    """The configuration with the changes of ``--set``.

    Raises:
        YAMLError: the text is not YAML.
        typer.BadParameter: a change cannot be read.
    """
    from deploy.cli.experiment.changes import apply, read_changes
    from shared.schemas.yaml_document import read_yaml, write_yaml

    changes = read_changes(None, list(given))
    read = read_yaml(text)
    if not isinstance(read, dict):
        return text  # what is wrong with it is told when it is read
    return write_yaml(apply(changes, read)).encode()


def with_model(text: bytes, model: str) -> bytes:
    """The configuration with ``models: {"*": model}``, its other words and comments as they were where it has
    no ``models`` of its own.

    Raises:
        YAMLError: the text is not YAML.
    """
    from shared.schemas.yaml_document import YAMLError, read_yaml, write_yaml

    read = read_yaml(text)
    if not isinstance(read, dict):
        return text  # what is wrong with it is told when it is read
    wanted = {**read, "models": {"*": model}}
    if "models" not in read:
        line = f"\nmodels: {json.dumps({'*': model}, ensure_ascii=False)}\n".encode()
        try:
            if read_yaml(text + line) == wanted:
                return text + line
        except YAMLError:
            pass  # written in one line, or with its end marked
    return write_yaml(wanted).encode()
