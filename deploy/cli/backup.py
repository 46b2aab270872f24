"""``parley backup`` and ``parley restore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.data_dir import DataDirOption, chosen

ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]


def backup(
    file: Annotated[Path, typer.Argument(help="Where to write it.")],
    data_dir: DataDirOption = None,
    force: ForceOption = False,
) -> None:
    """Write the embedded data and its keys to one file, while the stack runs or when it is stopped.

    The file holds keys: it is readable for you only. What is in Redis is not in it: that may be lost by
    design.
    """
    from deploy.local.archive import back_up

    size = back_up(chosen(data_dir), file.absolute(), force=force)
    typer.echo(f"{file}: {size / 1e6:.1f} MB", err=True)


def restore(
    file: Annotated[Path, typer.Argument(help="A file that parley backup wrote.")],
    data_dir: DataDirOption = None,
    force: ForceOption = False,
) -> None:
    """Replace the embedded data by a backup; the stack must be stopped."""
    from deploy.local.archive import restore as restore_archive

    data = chosen(data_dir)
    restore_archive(data, file.absolute(), force=force)
    typer.echo(f"{data.root} holds the backup now", err=True)
