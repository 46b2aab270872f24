"""``parley experiment result``, ``transcript`` and ``report``: what came of a run, as files."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

from deploy.cli.api import Api, ApiError
from deploy.cli.data_dir import DataDirOption, chosen
from deploy.cli.experiment.options import ExperimentArgument, ExperimentsArgument, SeveralOutputOption

if TYPE_CHECKING:
    from deploy.cli.experiment.screens import FollowedRun
    from shared.schemas.experiment.sections import TranscriptLogging

#: Seconds that pictures may take to be drawn, others' reports before them included.
_DRAWING = 300.0
#: Answers for what a run that failed early does not have.
_NONE_THERE = (404, 409)


class TranscriptFormat(StrEnum):
    """How a transcript is written."""

    JSONL = "jsonl"
    MARKDOWN = "markdown"


def _include(name: str, what: str) -> Any:
    return typer.Option(
        f"--include-{name}/--no-{name}",
        help=f"{what}. Default: as `transcript_logging` says.",
        show_default=False,
    )


def result(
    experiments: ExperimentsArgument, output: SeveralOutputOption = None, data_dir: DataDirOption = None
) -> None:
    """Write the result (JSON), byte for byte as the run made it; of several, experiment-ID.json of each.

    That of a run which failed or was cancelled says so within (`general_information.status`).
    """
    _write(experiments, "result", output, data_dir, "experiment-{}.json")


def transcript(
    experiments: ExperimentsArgument,
    format: Annotated[
        TranscriptFormat | None,
        typer.Option(
            help="jsonl: a line for each step; markdown: told by agent and round. By default as the "
            "file's name ends, else jsonl.",
            show_default=False,
        ),
    ] = None,
    include_memory_updates: Annotated[
        bool | None, _include("memory-updates", "Calls that update a memory")
    ] = None,
    include_instructions: Annotated[bool | None, _include("instructions", "System prompts")] = None,
    include_input_prompts: Annotated[bool | None, _include("input-prompts", "Questions")] = None,
    include_agent_responses: Annotated[
        bool | None, _include("agent-responses", "Answers, and what was read in them")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All four of them, but for what another option leaves out.")
    ] = False,
    output: SeveralOutputOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write every step so far: what was asked, answered, read in it, and drawn.

    Of several experiments, transcript-ID.jsonl (or .md) of each.
    """
    markdown = output is not None and output.suffix.lower() in (".md", ".markdown")
    wanted = format or (TranscriptFormat.MARKDOWN if markdown else TranscriptFormat.JSONL)
    ending = "md" if wanted is TranscriptFormat.MARKDOWN else "jsonl"
    given = {
        "memory_updates": include_memory_updates,
        "instructions": include_instructions,
        "input_prompts": include_input_prompts,
        "agent_responses": include_agent_responses,
    }
    asked = {
        f"include_{name}": str(everything if value is None else value).lower()
        for name, value in given.items()
        if value is not None or everything
    }
    query = urlencode({"format": wanted.value, **asked})
    _write(experiments, f"transcript?{query}", output, data_dir, f"transcript-{{}}.{ending}")


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


def _write(
    experiments: Sequence[str], rest: str, output: Path | None, data_dir: Path | None, name: str
) -> None:
    """Write ``rest`` of each experiment; into a directory under ``name``, with its id for the braces."""
    from deploy.cli.access import open_api
    from deploy.cli.experiment.choosing import chosen_experiment, experiment_path

    out = output is None or str(output) == "-"
    if out and len(experiments) > 1:
        raise typer.BadParameter("several experiments are written into a directory", param_hint="--output")
    place = None if output is None or out else Results.at(output, several=len(experiments) > 1)
    api = open_api(chosen(data_dir))
    for identity in [chosen_experiment(api, experiment) for experiment in experiments]:
        content = api.fetch(experiment_path(identity, rest))
        if place is None:
            _out(content)
        else:
            _to_file(content, place.path / name.format(identity) if place.directory else place.path)


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
                raise typer.BadParameter(
                    f"{path} cannot be written: there is no directory {path.parent}", param_hint="--output"
                )
        except OSError as error:
            raise typer.BadParameter(
                f"{path} cannot be a directory for results: {error.strerror}", param_hint="--output"
            ) from error
        return cls(path, directory)

    def file(self, experiment_id: str) -> Path:
        """The file of one experiment."""
        return self.path / f"experiment-{experiment_id}.json" if self.directory else self.path


@dataclass
class Keeping:
    """What is written of each run when it has ended.

    Attributes:
        api: where the runs are.
        results: where their results are written, if they are.
        transcripts: what `transcript_logging` asks for.
        several: whether transcripts get the ids of their runs in their names.
    """

    api: Api
    results: Results | None
    transcripts: TranscriptLogging
    several: bool
    _written: set[str] = field(default_factory=set)

    def keep(self, run: FollowedRun) -> None:
        """Write the files of a run that has ended. What cannot be is told, and stops nothing: it is kept."""
        whole = True
        if self.results is not None:
            whole = self._write(run, "result", self.results.file(run.id))
        if self.transcripts.enabled:
            whole = self._write(run, "transcript?format=jsonl", self._transcript_file(run)) and whole
        if whole:
            self._written.add(run.id)

    def unwritten(self, runs: Sequence[FollowedRun]) -> list[FollowedRun]:
        """Those of the runs that files are asked of, and that not all are written of."""
        if self.results is None and not self.transcripts.enabled:
            return []
        return [run for run in runs if run.id not in self._written]

    def commands(self, runs: Sequence[FollowedRun]) -> list[str]:
        """Arguments of the commands that write the files of these runs later."""
        ids = [run.id for run in runs]
        told = []
        if self.results is not None:
            told.append(shlex.join(["result", *ids, "--output", str(self.results.path)]))
        if self.transcripts.enabled:
            told += [
                shlex.join(["transcript", run.id, "--output", str(self._transcript_file(run))])
                for run in runs
            ]
        return told

    def _write(self, run: FollowedRun, what: str, file: Path) -> bool:
        from deploy.cli.experiment.choosing import experiment_path
        from deploy.cli.experiment.patience import persistently

        try:
            content = persistently(lambda: self.api.fetch(experiment_path(run.id, what)))
        except ApiError as error:
            typer.echo(f"parley: {run.id}: {error}", err=True)
            return error.status in _NONE_THERE
        try:
            file.write_bytes(content)
        except OSError as error:
            typer.echo(f"parley: {file} cannot be written: {error.strerror}", err=True)
            return False
        typer.echo(f"{file} written", err=True)
        return True

    def _transcript_file(self, run: FollowedRun) -> Path:
        path = self.transcripts.output_path
        file = Path(path or f"transcript-{run.id[:8]}.jsonl")
        return file.with_stem(f"{file.stem}-{run.id[:8]}") if path is not None and self.several else file
