"""``parley experiment``: the justice-principle experiment."""

from __future__ import annotations

import typer

from deploy.cli.experiment import (
    archive,
    checking,
    control,
    examples,
    following,
    listing,
    outcomes,
    running,
    table,
)

app = typer.Typer(
    help="The justice-principle experiment.\n\nA run is a durable job: it goes on without the command that "
    "began it, and it can be followed, resumed, forked and replayed.\n\nExit status: 0 done; 1 the run "
    "failed, was cancelled, or differs; 2 wrong usage, or a configuration that is not valid; 4 no stack "
    "runs; 5 the gateway cannot be reached; 7 it does not accept the key; 8 a file is there already; "
    "130 Ctrl-C.",
    no_args_is_help=True,
)
app.command("run")(running.run)
app.command("list")(listing.list_experiments)
app.command("show")(listing.show)
app.command("follow")(following.follow)
app.command("cancel")(control.cancel)
app.command("resume")(control.resume)
app.command("fork")(control.fork)
app.command("replay")(control.replay)
app.command("result")(outcomes.result)
app.command("transcript")(outcomes.transcript)
app.command("report")(outcomes.report)
app.command("export")(archive.export)
app.command("verify")(archive.verify)
app.command("validate")(checking.validate)
app.command("schema")(checking.schema)
app.command("init")(checking.init)
app.command("examples")(examples.examples)
app.command("table")(table.show)
