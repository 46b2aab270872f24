"""How the user calls this command, for messages that say what to type next."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from deploy.cli.data_dir import chosen
from deploy.local.directories import DataDir


def command(rest: str, data: DataDir | None = None) -> str:
    """A command line that works where this one did: ``command("down")`` gives ``.venv/bin/parley down``.

    Args:
        rest: subcommand and arguments.
        data: the data directory that is meant, when it is to be named unless it is the default one.
    """
    called = sys.argv[0]
    name = Path(called).name
    if name.startswith("__main__") or name.endswith(".py"):
        typed = f"{sys.executable} -m deploy.cli.main"
    else:
        found = shutil.which(name)
        typed = name if found and Path(found).samefile(called) else called
    subcommand, _, arguments = rest.partition(" ")
    flag = f" --data-dir {data.root}" if data is not None and data != chosen(None) else ""
    return f"{typed} {subcommand}{flag}" + (f" {arguments}" if arguments else "")
