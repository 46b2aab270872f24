"""``parley experiment validate``, ``schema`` and ``init``: configurations, with nothing running."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli.experiment.options import ConfigArgument, SetOption
from deploy.cli.users import JsonOption
from deploy.exit_codes import ExitCode


def validate(config: ConfigArgument, set_: SetOption = None, as_json: JsonOption = False) -> None:
    """Check a configuration; nothing needs to be running, and nothing is begun.

    Tells every fault with the path of its key, and how many calls to models a run will take. Whether your
    connections have the models is checked when the run begins.

    Exit status: 0 it is valid; 2 it is not.
    """
    from deploy.cli.experiment.configuration import read_file, say_faults
    from shared.errors import ValidationError
    from shared.schemas.experiment.cautions import cautions
    from shared.schemas.experiment.estimate import expected_calls
    from shared.schemas.experiment.identity import config_hash, derived_seed

    try:
        read = read_file(config, set_=set_ or ()).config
    except ValidationError as error:
        if as_json:
            typer.echo(json.dumps({"valid": False, "errors": list(error.errors)}, indent=2))
        else:
            say_faults(config, error)
        raise typer.Exit(ExitCode.USAGE) from None
    calls = expected_calls(read)
    warned = cautions(read)
    if as_json:
        told: dict[str, Any] = {
            "valid": True,
            "errors": [],
            "cautions": [{"field": one.field, "message": one.message} for one in warned],
            "calls": asdict(calls),
            "profile": read.profile,
            "seed": derived_seed(read),
            "config_hash": config_hash(read),
        }
        typer.echo(json.dumps(told, indent=2))
        return
    agents = "1 agent" if len(read.agents) == 1 else f"{len(read.agents)} agents"
    typer.echo(
        f"{config} is valid: {agents}, at most {read.phase2_rounds} rounds, profile {read.profile}, "
        f"seed {derived_seed(read)}{'' if read.seed is not None else ' (derived)'}."
    )
    typer.echo(
        f"It takes about {calls.expected} calls to models ({calls.minimum} to {calls.maximum}): "
        f"{calls.phase_1} in phase 1, {calls.per_round} in a round; answers that are asked for again come on "
        "top."
    )
    for one in warned:
        typer.echo(f"caution: {one.field} {one.message}", err=True)


def schema() -> None:
    """Print the JSON Schema of configurations: every key with its meaning, default and range."""
    from shared.schemas.experiment.schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


def init(
    file: Annotated[
        Path | None,
        typer.Argument(help="File to write; by default to standard output.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it is there.")] = False,
) -> None:
    """Write an example configuration: every key with its meaning, default and range, valid as it is.

    Exit status: 0 written; 2 it cannot be written; 8 the file is there, and --force was not given.
    """
    from shared.schemas.experiment.example import example

    text = example()
    if file is None or str(file) == "-":
        typer.echo(text, nl=False)
        return
    try:
        with file.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        typer.echo(f"parley: {file} is there already; --force overwrites it.", err=True)
        raise typer.Exit(ExitCode.EXISTS) from None
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be written: {error.strerror}", param_hint="FILE") from error
    typer.echo(f"{file} written; check it with parley experiment validate {file}", err=True)
