"""``parley personas``: personas as files, with the modules that they use."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli.data_dir import DataDirOption, chosen
from deploy.cli.users import JsonOption
from deploy.exit_codes import ExitCode

app = typer.Typer(help="Personas: listed, and as files.", no_args_is_help=True)

_MEDIA_TYPES = {
    ".json": "application/json",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".png": "image/png",
}


class Format(StrEnum):
    """How a persona's file is written."""

    JSON = "json"
    YAML = "yaml"


@app.command("list")
def list_personas(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List the personas."""
    from deploy.cli.access import open_api

    personas = open_api(chosen(data_dir)).all("/api/personas")
    if as_json:
        typer.echo(json.dumps(personas, indent=2))
        return
    for persona in personas:
        typer.echo(f"{persona['id']}  {persona['name']}" + ("" if persona["is_active"] else "  (inactive)"))


@app.command("export")
def export(
    persona: Annotated[str, typer.Argument(help="Name or id of the persona.")],
    file: Annotated[
        Path | None,
        typer.Option(help="Where to write it; by default to standard output.", show_default=False),
    ] = None,
    format: Annotated[
        Format | None,
        typer.Option(help="By default as the file's name ends, else yaml.", show_default=False),
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write a persona, its image, and the modules that it uses, to one file."""
    from deploy.cli.access import open_api

    suffix = file.suffix.lower() if file else ""
    chosen_format = format or (Format.JSON if suffix == ".json" else Format.YAML)
    api = open_api(chosen(data_dir))
    found = api.find("/api/personas", persona, "persona")
    content = api.fetch(f"/api/personas/{found['id']}/export?format={chosen_format}")
    if file is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        file.write_bytes(content)
    except OSError as error:
        raise typer.BadParameter(
            f"{file} cannot be written: {error.strerror}", param_hint="--file"
        ) from error
    typer.echo(f"{file}: {found['name']}", err=True)


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="A file of parley personas export, or a character card (JSON or PNG).",
            exists=True,
            dir_okay=False,
            readable=True,
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would change; change nothing.")
    ] = False,
    rename: Annotated[
        bool, typer.Option("--rename", help="Give free names to what has a name that is taken.")
    ] = False,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a persona, and the modules that it uses, from a file.

    What is there already and equal is left as it is. With --dry-run the command fails when a name is taken
    and --rename is not given.
    """
    from deploy.cli.access import open_api
    from deploy.cli.api import ApiError

    api = open_api(chosen(data_dir))
    media_type = _MEDIA_TYPES.get(file.suffix.lower(), "application/octet-stream")
    query = f"dry_run={str(dry_run).lower()}&rename={str(rename).lower()}"
    try:
        report: dict[str, Any] = api.call(
            "POST",
            f"/api/personas/import?{query}",
            file.read_bytes(),
            headers={"Content-Type": media_type},
        )
    except ApiError as error:
        if error.code == "name_taken" and not rename:
            typer.echo("parley: with --rename, what has a name that is taken gets a free one", err=True)
        raise
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        _show(report)
    if report["conflict"]:
        raise typer.Exit(ExitCode.FAILED)


def _show(report: dict[str, Any]) -> None:
    for kind, item in [("persona", report["persona"]), *(("module", item) for item in report["modules"])]:
        becomes = f" -> {item['becomes']}" if item["becomes"] != item["name"] else ""
        typer.echo(f"{item['action']:<9} {kind:<8} {item['name']}{becomes}")
    for note in report["notes"]:
        typer.echo(f"note: {note}", err=True)
    if report["dry_run"]:
        typer.echo("Nothing was changed.", err=True)
