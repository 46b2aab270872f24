"""``parley experiment run``: begin runs, and follow them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli.data_dir import DataDirOption, chosen
from deploy.cli.experiment.options import (
    EXIT_STATUS,
    ConfigArgument,
    DetachOption,
    EventsAsJsonOption,
    NameOption,
    SetOption,
)
from deploy.exit_codes import ExitCode

if TYPE_CHECKING:
    from deploy.cli.experiment.screens import FollowedRun

#: Answers that say that something of what was sent is not valid.
_INVALID = (400, 413, 415, 422)


def run(
    config: ConfigArgument,
    repeat: Annotated[
        int,
        typer.Option(
            min=1,
            max=10_000,
            help="Begin so many runs, with the seed, the seed + 1, the seed + 2, and so on (the seed is "
            "--seed, else the configuration's, else the one that follows from it).",
        ),
    ] = 1,
    parallel: Annotated[
        int, typer.Option(min=1, max=100, help="Runs of --repeat that go on at once; at most this many.")
    ] = 1,
    skip: Annotated[
        int,
        typer.Option(
            min=0,
            help="Runs at the beginning of --repeat that are left out, as they were begun before: the others "
            "have the seeds and names that they have without it.",
        ),
    ] = 0,
    name: NameOption = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**31 - 1, help="Instead of the configuration's.", show_default=False),
    ] = None,
    connection: Annotated[
        str | None,
        typer.Option(help="Name or id of the connection that answers for every role.", show_default=False),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The model of every role instead of those in the configuration: local, a model of "
            "--connection, or CONNECTION/MODEL, whatever connections the file names; a name alone is asked "
            "for over these. As `models: {'*': …}` in the file.",
            show_default=False,
        ),
    ] = None,
    set_: SetOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File for the result (JSON); with --repeat, or when it is one, a directory that gets "
            "experiment-ID.json of each run.",
            show_default=False,
        ),
    ] = None,
    detach: DetachOption = False,
    as_json: EventsAsJsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Run an experiment, and follow it. Ctrl-C leaves it running and says how to follow it again.

    When no stack runs on this machine and PARLEY_URL names none, the embedded one is started in the
    background first; `parley down` stops it, and a run goes on from its last step at the next `parley up`.
    With --repeat and --detach all runs are handed over at once; without --detach at most --parallel go on
    at any time.
    """
    from deploy.cli.experiment.configuration import valid_file
    from deploy.cli.experiment.following import experiment_command, follow_to_the_end, say_what_is_left
    from deploy.cli.experiment.outcomes import Keeping, Results
    from deploy.cli.experiment.screens import JsonScreen, Look
    from deploy.cli.experiment.series import Series
    from deploy.cli.starting import open_or_start
    from shared.schemas.experiment.cautions import cautions

    if detach and output is not None:
        raise typer.BadParameter("waits for the run: leave --detach out", param_hint="--output")
    if skip >= repeat:
        raise typer.BadParameter(f"must be less than --repeat ({repeat})", param_hint="--skip")
    again = _command_line(
        config,
        repeat=repeat,
        parallel=parallel if parallel > 1 else None,
        name=name,
        seed=seed,
        connection=connection,
        model=model,
        set=set_,
        output=output,
        detach=detach,
        json=as_json,
    )
    rewritten = None
    if model is not None and connection is not None:
        connection = connection if model == "local" else f"{connection}/{model}"
    elif model is not None:
        rewritten = model
    read = valid_file(config, model=rewritten, set_=set_ or ())
    warned = [{"field": one.field, "message": one.message} for one in cautions(read.config)]
    for one in warned:
        typer.echo(f"caution: {one['field']} {one['message']}", err=True)
    results = None if output is None else Results.at(output, several=repeat > 1)
    data = chosen(data_dir)
    api = open_or_start(data)
    series = Series(api, read, repeat, name, seed, connection, skip=skip, again=again)
    keeping = None if detach else Keeping(api, results, read.config.transcript_logging, series.several)
    count = series.left
    try:
        with invalid_is_usage():
            for _ in range(count if detach else min(parallel, count)):
                series.begin()
    except BaseException as error:
        if as_json and series.runs:
            JsonScreen.outcome(series.runs, _exit_code(error), warned)
        if series.runs or series.unanswered is not None:
            say_what_is_left(series.runs, data, series=series, keeping=keeping)
        raise
    if detach:
        _say_begun(series.runs, warned, as_json=as_json)
        if not as_json:
            follow_it = experiment_command(f"follow {series.runs[0].id}", data)
            typer.echo(f"Follow with: {follow_it}", err=True)
        return
    if series.several and not as_json:
        first, last = series.seed_of(skip), series.seed_of(repeat - 1)
        typer.echo(f"{count} runs, at most {parallel} at once, with the seeds {first} to {last}.")
    follow_to_the_end(
        api,
        data,
        series.runs,
        as_json=as_json,
        look=Look.of({"logging": read.config.logging.model_dump()}),
        series=series,
        keeping=keeping,
        cautions=warned,
    )


run.__doc__ = f"{run.__doc__}\n    {EXIT_STATUS}\n    "


@contextmanager
def invalid_is_usage() -> Iterator[None]:
    """A refusal of what was sent is told, and ends the command as wrong usage.

    Raises:
        typer.Exit: it was refused as not valid.
    """
    from deploy.cli.api import ApiError

    try:
        yield
    except ApiError as error:
        if error.status not in _INVALID:
            raise
        typer.echo(f"parley: {error}", err=True)
        raise typer.Exit(ExitCode.USAGE) from None


def _exit_code(error: BaseException) -> int:
    from deploy.cli.api import ApiError

    if isinstance(error, typer.Exit | ApiError):
        return int(error.exit_code)
    return ExitCode.INTERRUPTED if isinstance(error, KeyboardInterrupt) else ExitCode.FAILED


def _command_line(config: Path, **options: Any) -> list[str]:
    """The arguments of this command with these options, without those that are ``None`` or false."""
    given = ["run", str(config)]
    for name, value in options.items():
        if value is True:
            given.append(f"--{name}")
        elif isinstance(value, list):
            given += [part for one in value for part in (f"--{name}", one)]
        elif value is not None and value is not False:
            given += [f"--{name}", str(value)]
    return given


def _say_begun(runs: list[FollowedRun], cautions: list[dict[str, str]], *, as_json: bool) -> None:
    from deploy.cli.experiment.screens import JsonScreen

    if as_json:
        JsonScreen.outcome(runs, ExitCode.OK, cautions)
        return
    for run in runs:
        typer.echo(run.id if run.seed is None else f"{run.id}  seed {run.seed}")
