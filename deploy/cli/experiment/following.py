"""``parley experiment follow``, and what all commands do that follow runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from deploy.cli.data_dir import DataDirOption, chosen
from deploy.cli.experiment.options import EXIT_STATUS, EventsAsJsonOption, ExperimentArgument
from deploy.exit_codes import ExitCode

if TYPE_CHECKING:
    from deploy.cli.api import Api
    from deploy.cli.experiment.outcomes import Keeping
    from deploy.cli.experiment.screens import FollowedRun, Look
    from deploy.cli.experiment.series import Series
    from deploy.local.directories import DataDir

_NOT_FOUND = 404


def follow(
    experiment: ExperimentArgument,
    as_json: EventsAsJsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Tell what has happened in a run, in short, and then what happens, until it ends.

    Ctrl-C leaves it running.
    """
    from deploy.cli.access import open_api
    from deploy.cli.experiment.choosing import chosen_experiment
    from deploy.cli.experiment.screens import FollowedRun

    data = chosen(data_dir)
    api = open_api(data)
    run = FollowedRun(chosen_experiment(api, experiment))
    follow_to_the_end(api, data, [run], as_json=as_json, compact=True, look=look_of(api, run))


follow.__doc__ = f"{follow.__doc__}\n    {EXIT_STATUS}\n    "


def follow_to_the_end(
    api: Api,
    data: DataDir,
    runs: list[FollowedRun],
    *,
    as_json: bool,
    compact: bool = False,
    look: Look | None = None,
    last_id: str | None = None,
    series: Series | None = None,
    keeping: Keeping | None = None,
    cautions: Sequence[Mapping[str, str]] | None = None,
) -> None:
    """Follow runs until they have ended, tell what came of them, and exit accordingly.

    Args:
        api: where they run.
        data: the data directory, for what is said to be typed next.
        runs: that have begun; ``series`` adds to it.
        as_json: lines of JSON instead of words.
        compact: what had happened before is told in short.
        look: how much is told, and how.
        last_id: of the last event that was told already.
        series: begins the next run when one has ended.
        keeping: writes the files of each run that has ended.
        cautions: of the configuration, for the outcome in JSON.

    Raises:
        typer.Exit: unless all came to their ends, and all files were written.
        ApiError: a run cannot be followed any more, or the next one cannot be begun.
    """
    from deploy.cli.api import ApiError
    from deploy.cli.experiment.screens import JsonScreen, TextScreen
    from deploy.cli.experiment.watching import watch

    brief = series is not None and series.several
    screen = JsonScreen() if as_json else TextScreen(compact=compact, brief=brief, look=look)

    def stopped(code: int, *, known: bool) -> None:
        screen.close()
        if as_json:
            JsonScreen.outcome(runs, code, cautions)
        say_what_is_left(runs, data, series=series, keeping=keeping, known=known)

    try:
        watch(
            api,
            list(runs),
            screen,
            begin=(lambda: None) if series is None else series.begin,
            ended=(lambda _: None) if keeping is None else keeping.keep,
            last_id=last_id,
        )
    except KeyboardInterrupt:
        stopped(ExitCode.INTERRUPTED, known=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except ApiError as error:
        if error.status == _NOT_FOUND and not brief:
            raise
        stopped(error.exit_code, known=False)
        raise
    finally:
        screen.close()
    unwritten = [] if keeping is None else keeping.unwritten(runs)
    code = ExitCode.OK if all(run.succeeded for run in runs) and not unwritten else ExitCode.FAILED
    if isinstance(screen, JsonScreen):
        screen.outcome(runs, code, cautions)
    else:
        say_what_next(runs, data)
    if keeping is not None and unwritten:
        _say_unwritten(keeping, unwritten, data)
    if code is not ExitCode.OK:
        raise typer.Exit(code)


def look_of(api: Api, run: FollowedRun) -> Look:
    """What the configuration of a run asks of the terminal; the usual look where it cannot be asked for."""
    from deploy.cli.api import ApiError
    from deploy.cli.experiment.choosing import experiment_path
    from deploy.cli.experiment.screens import Look

    try:
        return Look.of(api.get(experiment_path(run.id))["config"])
    except ApiError:  # following it tells why
        return Look()


def say_what_is_left(
    runs: Sequence[FollowedRun],
    data: DataDir,
    *,
    series: Series | None = None,
    keeping: Keeping | None = None,
    known: bool = True,
) -> None:
    """Say on standard error what is done, what goes on without this command, what was not begun, and which
    commands go on with it. ``known``: whether what has begun does go on.
    """
    from deploy.cli.access import named_gateway
    from deploy.cli.program import command

    done = [run for run in runs if run.experiment is not None]
    going = [run for run in runs if run.experiment is None]
    if done:
        typer.echo(f"{len(done)} run{'s are' if len(done) > 1 else ' is'} done:", err=True)
        for run in done:
            status = (run.experiment or {}).get("status")
            typer.echo(
                f"  {run.id}" + ("" if run.seed is None else f"  seed {run.seed}") + f"  {status}", err=True
            )
    if going:
        which = "The run goes" if len(going) == 1 else f"{len(going)} runs go"
        first = f"{which} on without this command" if known else "What has begun is kept"
        typer.echo(f"{first}. Follow with:", err=True)
        for run in going:
            typer.echo(f"  {experiment_command(f'follow {run.id}', data)}", err=True)
    if keeping is not None and (unwritten := keeping.unwritten(runs)):
        _say_unwritten(keeping, unwritten, data)
    if series is not None:
        for line in series.rest():
            typer.echo(line, err=True)
        if (arguments := series.rest_arguments()) is not None:
            again = " (which reads the configuration again)" if arguments[1] == "-" else ""
            typer.echo(f"Begin them, with the seeds that this series has for them, with{again}:", err=True)
            typer.echo(f"  {experiment_command(shlex.join(arguments), data)}", err=True)
    if going and known and named_gateway() is None:
        typer.echo(
            f"Parley runs in the background. {command('down', data)} stops it; what runs is kept, and "
            f"goes on from its last step at the next {command('up', data)}.",
            err=True,
        )


def _say_unwritten(keeping: Keeping, unwritten: Sequence[FollowedRun], data: DataDir) -> None:
    typer.echo("Files that are not written yet; when the runs have ended:", err=True)
    for rest in keeping.commands(unwritten):
        typer.echo(f"  {experiment_command(rest, data)}", err=True)


def say_what_next(runs: Sequence[FollowedRun], data: DataDir) -> None:
    """Say what can be done with what came of a run."""
    if len(runs) != 1:
        return
    run = runs[0]
    if run.succeeded:
        typer.echo(f"Look at it: {experiment_command(f'report {run.id}', data)}", err=True)
        return
    error = (run.experiment or {}).get("error") or {}
    more = ""
    if error.get("code") == "budget_exceeded":
        more = " --budget-tokens N (or -calls, -seconds)"
    typer.echo(f"Go on from its last step: {experiment_command(f'resume {run.id}', data)}{more}", err=True)


def experiment_command(rest: str, data: DataDir) -> str:
    """A command line of ``parley experiment`` that works where this one did."""
    from deploy.cli.data_dir import chosen as chosen_data
    from deploy.cli.program import command

    flag = f" --data-dir {data.root}" if data != chosen_data(None) else ""
    return command(f"experiment {rest}") + flag
