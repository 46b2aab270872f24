"""``parley experiment``: the justice-principle experiment."""

from __future__ import annotations

import typer

from deploy.cli.experiment import table

app = typer.Typer(help="The justice-principle experiment.", no_args_is_help=True)
app.command("table")(table.show)
