"""``parley experiment follow``, and what all commands do that follow runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import typer

from deploy.cli.data_dir import DataDirOption, chosen
from deploy.cli.experiment.options import EXIT_STATUS, EventsAsJsonOption, ExperimentArgument
from deploy.exit_codes import ExitCode

if TYPE_CHECKING:
    from deploy.cli.api import Api
    from deploy.cli.experiment.screens import FollowedRun
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
    follow_to_the_end(api, data, [run], as_json=as_json, compact=True)


follow.__doc__ = f"{follow.__doc__}\n    {EXIT_STATUS}\n    "


def follow_to_the_end(
    api: Api,
    data: DataDir,
    runs: list[FollowedRun],
    *,
    as_json: bool,
    compact: bool = False,
    brief: bool = False,
    begin: Callable[[], FollowedRun | None] = lambda: None,
    not_begun: Callable[[], int] = lambda: 0,
    last_id: str | None = None,
    after: Callable[[], None] = lambda: None,
) -> None:
    """Follow runs until they have ended, tell what came of them, and exit accordingly.

    Args:
        api: where they run.
        data: the data directory, for what is said to be typed next.
        runs: that have begun; ``begin`` adds to it.
        as_json: lines of JSON instead of words.
        compact: what had happened before is told in short.
        brief: several runs: only their ends are told.
        begin: begins the next run when one has ended.
        not_begun: how many runs are still to begin.
        last_id: of the last event that was told already.
        after: what is done when all have ended.

    Raises:
        typer.Exit: unless all came to their ends.
        ApiError: a run cannot be followed any more.
    """
    from deploy.cli.api import ApiError
    from deploy.cli.experiment.screens import JsonScreen, TextScreen
    from deploy.cli.experiment.watching import watch

    screen = JsonScreen() if as_json else TextScreen(compact=compact, brief=brief)
    try:
        watch(api, list(runs), screen, begin=begin, last_id=last_id)
    except KeyboardInterrupt:
        screen.close()
        if as_json:
            JsonScreen.outcome(runs, ExitCode.INTERRUPTED)
        say_it_goes_on([run for run in runs if run.experiment is None], not_begun(), data)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except ApiError as error:
        screen.close()
        if error.status == _NOT_FOUND:
            raise
        say_it_goes_on([run for run in runs if run.experiment is None], not_begun(), data, known=False)
        raise
    finally:
        screen.close()
    after()
    code = ExitCode.OK if all(run.succeeded for run in runs) else ExitCode.FAILED
    if isinstance(screen, JsonScreen):
        screen.outcome(runs, code)
    else:
        say_what_next(runs, data)
    if code is not ExitCode.OK:
        raise typer.Exit(code)


def say_it_goes_on(runs: Sequence[FollowedRun], not_begun: int, data: DataDir, *, known: bool = True) -> None:
    """Say on standard error that runs go on without this command, and how to follow them."""
    from deploy.cli.access import named_gateway
    from deploy.cli.program import command

    if runs:
        which = "The run goes" if len(runs) == 1 else f"{len(runs)} runs go"
        first = f"{which} on without this command" if known else "What has begun is kept"
        typer.echo(f"{first}. Follow with:", err=True)
        for run in runs:
            typer.echo(f"  {experiment_command(f'follow {run.id}', data)}", err=True)
    if not_begun:
        typer.echo(f"{not_begun} of the runs were not begun.", err=True)
    if runs and known and named_gateway() is None:
        typer.echo(
            f"Parley runs in the background. {command('down', data)} stops it; what runs is kept, and "
            f"goes on from its last step at the next {command('up', data)}.",
            err=True,
        )


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
