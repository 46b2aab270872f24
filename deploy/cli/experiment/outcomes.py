"""``parley experiment result``, ``transcript`` and ``report``: what came of a run, as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.data_dir import DataDirOption, chosen
from deploy.cli.experiment.options import ExperimentArgument, OutputOption

if TYPE_CHECKING:
    from deploy.cli.api import Api
    from deploy.cli.experiment.screens import FollowedRun

#: Seconds that pictures may take to be drawn, others' reports before them included.
_DRAWING = 300.0


class TranscriptFormat(StrEnum):
    """How a transcript is written."""

    JSONL = "jsonl"
    MARKDOWN = "markdown"


def result(
    experiment: ExperimentArgument, output: OutputOption = None, data_dir: DataDirOption = None
) -> None:
    """Write the result (JSON), byte for byte as the run made it.

    That of a run which failed or was cancelled says so within (`general_information.status`).
    """
    _write(experiment, "result", output, data_dir)


def transcript(
    experiment: ExperimentArgument,
    format: Annotated[
        TranscriptFormat | None,
        typer.Option(
            help="jsonl: a line for each step; markdown: told by agent and round. By default as the "
            "file's name ends, else jsonl.",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write every step so far: what was asked, answered, read in it, and drawn."""
    markdown = output is not None and output.suffix.lower() in (".md", ".markdown")
    wanted = format or (TranscriptFormat.MARKDOWN if markdown else TranscriptFormat.JSONL)
    _write(experiment, f"transcript?format={wanted}", output, data_dir)


def report(
    experiment: ExperimentArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write, - for standard output. Default: report-ID.html, ID's first 8 characters.",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write the report: one HTML file with its pictures in it, which loads nothing and runs nothing."""
    from deploy.cli.access import open_api
    from deploy.cli.experiment.choosing import chosen_experiment, experiment_path

    api = open_api(chosen(data_dir))
    identity = chosen_experiment(api, experiment)
    content = api.fetch(experiment_path(identity, "report"), timeout=_DRAWING)
    if output is not None and str(output) == "-":
        _out(content)
        return
    _to_file(content, output or Path(f"report-{identity[:8]}.html"))


def _write(experiment: str, rest: str, output: Path | None, data_dir: Path | None) -> None:
    from deploy.cli.access import open_api
    from deploy.cli.experiment.choosing import chosen_experiment, experiment_path

    api = open_api(chosen(data_dir))
    content = api.fetch(experiment_path(chosen_experiment(api, experiment), rest))
    if output is None or str(output) == "-":
        _out(content)
    else:
        _to_file(content, output)


def _out(content: bytes) -> None:
    from deploy.cli.experiment.printable import write_out

    write_out(content)


def _to_file(content: bytes, file: Path) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise typer.BadParameter(
            f"{file} cannot be written: {error.strerror}", param_hint="--output"
        ) from error
    typer.echo(f"{file} written", err=True)


@dataclass(frozen=True)
class Results:
    """Where the results of runs are written: into one file, or into a directory."""

    path: Path
    directory: bool

    @classmethod
    def at(cls, path: Path, *, several: bool) -> Results:
        """A place that can be written to, made before anything is run for it.

        Raises:
            typer.BadParameter: it cannot.
        """
        directory = several or path.is_dir() or str(path).endswith("/")
        try:
            if directory:
                path.mkdir(parents=True, exist_ok=True)
            elif not path.parent.is_dir():
                raise typer.BadParameter(f"there is no directory {path.parent}", param_hint="--output")
        except OSError as error:
            raise typer.BadParameter(
                f"{path} cannot be a directory for results: {error.strerror}", param_hint="--output"
            ) from error
        return cls(path, directory)

    def write(self, api: Api, runs: Sequence[FollowedRun]) -> None:
        """Write what came of each run; one that failed before it had a result is named.

        Raises:
            typer.BadParameter: a file cannot be written.
        """
        from deploy.cli.api import ApiError
        from deploy.cli.experiment.choosing import experiment_path

        for run in runs:
            try:
                content = api.fetch(experiment_path(run.id, "result"))
            except ApiError as error:
                typer.echo(f"parley: {run.id}: {error}", err=True)
                continue
            _to_file(content, self.path / f"experiment-{run.id}.json" if self.directory else self.path)


def write_transcripts(api: Api, runs: Sequence[FollowedRun], path: str | None) -> None:
    """Write what `transcript_logging` asks for: the steps of each run, with what it says belongs to them.

    Args:
        api: where they are.
        runs: that have ended.
        path: its `output_path`; of several runs each gets its id before the file's ending.
    """
    from deploy.cli.experiment.choosing import experiment_path

    for run in runs:
        file = Path(path or f"transcript-{run.id[:8]}.jsonl")
        if path is not None and len(runs) > 1:
            file = file.with_stem(f"{file.stem}-{run.id[:8]}")
        _to_file(api.fetch(experiment_path(run.id, "transcript?format=jsonl")), file)
