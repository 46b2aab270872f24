"""``parley experiment run``: begin runs, and follow them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

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
    from deploy.cli.api import Api
    from deploy.cli.experiment.configuration import ConfigurationFile
    from deploy.cli.experiment.screens import FollowedRun

_SEEDS = 2**31
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
    name: NameOption = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=_SEEDS - 1, help="Instead of the configuration's.", show_default=False),
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
    from deploy.cli.experiment.following import experiment_command, follow_to_the_end, say_it_goes_on
    from deploy.cli.experiment.outcomes import Results, write_transcripts
    from deploy.cli.starting import open_or_start

    if detach and output is not None:
        raise typer.BadParameter("waits for the run: leave --detach out", param_hint="--output")
    rewritten = None
    if model is not None and connection is not None:
        connection = connection if model == "local" else f"{connection}/{model}"
    elif model is not None:
        rewritten = model
    read = valid_file(config, model=rewritten, set_=set_ or ())
    results = None if output is None else Results.at(output, several=repeat > 1)
    data = chosen(data_dir)
    api = open_or_start(data)
    series = Series(api, read, repeat, name, seed, connection)
    try:
        with invalid_is_usage():
            for _ in range(repeat if detach else min(parallel, repeat)):
                series.begin()
    except BaseException:
        if series.runs:
            say_it_goes_on(series.runs, series.left, data)
        raise

    def keep() -> None:
        if results is not None:
            results.write(api, series.runs)
        if read.config.transcript_logging.enabled:
            write_transcripts(api, series.runs, read.config.transcript_logging.output_path)

    if detach:
        _say_begun(series.runs, as_json=as_json)
        if not as_json:
            follow_it = experiment_command(f"follow {series.runs[0].id}", data)
            typer.echo(f"Follow with: {follow_it}", err=True)
        return
    if repeat > 1 and not as_json:
        last = (series.first_seed + repeat - 1) % _SEEDS
        typer.echo(
            f"{repeat} runs, at most {parallel} at once, with the seeds {series.first_seed} to {last}."
        )
    follow_to_the_end(
        api,
        data,
        series.runs,
        as_json=as_json,
        brief=repeat > 1,
        begin=series.begin,
        not_begun=lambda: series.left,
        after=keep,
    )


run.__doc__ = f"{run.__doc__}\n    {EXIT_STATUS}\n    "


@dataclass
class Series:
    """Runs of one configuration, each begun when it is its turn."""

    api: Api
    read: ConfigurationFile
    repeat: int
    name: str | None
    seed: int | None
    connection: str | None
    runs: list[FollowedRun] = field(default_factory=list)

    @property
    def first_seed(self) -> int:
        """The seed of the first of several runs."""
        from shared.schemas.experiment.identity import derived_seed

        return derived_seed(self.read.config) if self.seed is None else self.seed

    @property
    def left(self) -> int:
        """Runs that are still to begin."""
        return self.repeat - len(self.runs)

    def begin(self) -> FollowedRun | None:
        """Begin the next run; ``None`` when all have begun."""
        from deploy.cli.experiment.screens import FollowedRun

        if not self.left:
            return None
        number = len(self.runs)
        seed, name = self.seed, self.name
        label = ""
        if self.repeat > 1:
            seed = (self.first_seed + number) % _SEEDS
            stem = name or (Path(self.read.file).stem if self.read.file else "experiment")
            name = f"{stem[:180]} {number + 1}/{self.repeat}"
            label = f"{number + 1} of {self.repeat} (seed {seed})"
        query = {"name": name, "seed": seed, "connection": self.connection, "file": self.read.file}
        asked = urlencode({key: value for key, value in query.items() if value is not None})
        accepted: dict[str, Any] = self.api.call(
            "POST",
            "/api/experiments" + (f"?{asked}" if asked else ""),
            self.read.text,
            headers={"Content-Type": "application/yaml", "Idempotency-Key": str(uuid.uuid4())},
        )
        run = FollowedRun(accepted["experiment_id"], label, seed)
        self.runs.append(run)
        return run


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


def _say_begun(runs: list[FollowedRun], *, as_json: bool) -> None:
    from deploy.cli.experiment.screens import JsonScreen

    if as_json:
        JsonScreen.outcome(runs, ExitCode.OK)
        return
    for run in runs:
        typer.echo(run.id if run.seed is None else f"{run.id}  seed {run.seed}")
