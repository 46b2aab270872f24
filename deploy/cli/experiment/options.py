"""Arguments and options that several commands of ``parley experiment`` have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from deploy.cli.experiment import examples

#: Which experiment is meant.
ExperimentArgument: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="Id of an experiment, or how it begins (4 characters or more that only one of your recent "
        "ones begins with).",
        show_default=False,
    ),
]

#: Which experiments are meant.
ExperimentsArgument: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="ID",
        help="Ids of experiments, or how they begin (4 characters or more that only one of your recent ones "
        "begins with).",
        show_default=False,
    ),
]

#: A configuration file that is read; ``-`` for standard input.
ConfigArgument: TypeAlias = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG",
        callback=examples.file_or_example,
        help="A configuration (YAML), or the name of an example (parley experiment examples); - reads "
        "standard input.",
        show_default=False,
    ),
]

#: ``--set``.
SetOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A key of the configuration and its new value (YAML), as phase2_rounds=8, "
        "phase2_settings.two_stage_max_retries=1 or agents.Ana.temperature=0.2; may be repeated.",
        show_default=False,
    ),
]

#: Where something is written instead of to standard output.
SeveralOutputOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="File to write; by default to standard output. For several experiments, or when it is one, a "
        "directory that gets a file of each.",
        show_default=False,
    ),
]

#: ``--detach``.
DetachOption: TypeAlias = Annotated[
    bool, typer.Option("--detach", "-d", help="Do not follow the run: print its id and return.")
]

#: ``--json`` of a command that follows a run.
EventsAsJsonOption: TypeAlias = Annotated[
    bool,
    typer.Option("--json", help="For programs: a line of JSON for every event; the last is the outcome."),
]

#: ``--name``.
NameOption: TypeAlias = Annotated[
    str | None, typer.Option(help="What the new run is called.", show_default=False)
]

#: What the exit status of a command that waits for a run tells.
EXIT_STATUS = (
    "Exit status: 0 the run came to its end; 1 it failed or was cancelled; 2 wrong usage, or a configuration "
    "that is not valid; 130 Ctrl-C (the run goes on)."
)
