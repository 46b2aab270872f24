"""The option that every command has: where the data lies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from deploy.local.directories import DataDir, default_data_dir

#: ``--data-dir``.
DataDirOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Where Parley keeps its data. Default: PARLEY_DATA_DIR, else /var/lib/parley for root and "
        "~/.local/share/parley for others.",
        show_default=False,
    ),
]


def chosen(option: Path | None) -> DataDir:
    """The data directory that was chosen, with a path that no change of directory moves."""
    return DataDir(option.expanduser().absolute() if option else default_data_dir())
