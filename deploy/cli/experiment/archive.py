"""``parley experiment export`` and ``verify``: a run as one file, and whether it comes to the same again."""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli.data_dir import DataDirOption, chosen
from deploy.cli.experiment.options import ExperimentArgument
from deploy.cli.users import JsonOption
from deploy.exit_codes import ExitCode

if TYPE_CHECKING:
    from workers.experiment.archive.reading import ArchiveError
    from workers.experiment.archive.verifying import Verdict


def export(
    experiment: ExperimentArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write, compressed when its name ends in .gz; - for standard output. Default: "
            "experiment-ID.jsonl.gz, ID's first 8 characters.",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write a whole run as one file: what was run, every step with its prompts, and the result.

    `parley experiment verify` checks it anywhere, with nothing running. The run must have ended.
    """
    from deploy.cli.access import open_api
    from deploy.cli.experiment.choosing import chosen_experiment, experiment_path

    api = open_api(chosen(data_dir))
    identity = chosen_experiment(api, experiment)
    chunks = api.chunks(experiment_path(identity, "export"))
    if output is not None and str(output) == "-":
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return
    file = output or Path(f"experiment-{identity[:8]}.jsonl.gz")
    _write(file, chunks)
    typer.echo(f"{file} written; check it with parley experiment verify {file}", err=True)


def verify(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What parley experiment export wrote.", show_default=False)
    ],
    as_json: JsonOption = False,
) -> None:
    """Repeat an exported run from its recorded answers, and compare the result; nothing needs to be running.

    Every question is put together again and compared with the recorded one, every answer is read again,
    every draw is drawn again from the seed, and the digest of the result is taken again. Compare the digest
    that is told with the one that was published: that the file is in itself the same says no more than that.

    Exit status: 0 the same comes of it; 1 something differs, and what is told; 2 the file cannot be read, or
    its run did not come to its end.
    """
    import asyncio
    import logging

    from workers.experiment.archive.reading import ArchiveError
    from workers.experiment.archive.verifying import verify as verified

    # What is to be said is in the verdict.
    logging.getLogger("workers.experiment").addHandler(logging.NullHandler())
    try:
        verdict = asyncio.run(verified(file))
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}", param_hint="FILE") from error
    except ArchiveError as error:
        _say_unreadable(file, error, as_json=as_json)
        raise typer.Exit(ExitCode.USAGE) from None
    if as_json:
        typer.echo(json.dumps(_as_json(verdict), indent=2))
    else:
        for line in _in_words(file, verdict):
            typer.echo(line)
    if not verdict.same:
        raise typer.Exit(ExitCode.FAILED)


def _say_unreadable(file: Path, error: ArchiveError, *, as_json: bool) -> None:
    from deploy.cli.experiment.printable import one_line

    if as_json:
        fault = {"line": error.line, "field": error.field, "message": error.message}
        typer.echo(json.dumps({"readable": False, "errors": [fault]}, indent=2))
    else:
        typer.echo(f"parley: {file} cannot be verified: {one_line(str(error), 600)}", err=True)


def _as_json(verdict: Verdict) -> dict[str, Any]:
    run = verdict.run
    return {
        "readable": True,
        "same": verdict.same,
        "experiment_id": str(run.experiment_id),
        "name": run.name,
        "seed": run.seed,
        "config_hash": run.config_hash,
        "made_with": verdict.made_with,
        "verified_with": verdict.verified_with,
        "steps": len(run.recorded.steps),
        "steps_sha256": verdict.steps_sha256,
        "result_sha256": run.sha256,
        "computed_sha256": verdict.computed,
        "differences": [
            {"kind": one.kind.value, "place": one.place, "message": one.message}
            for one in verdict.differences
        ],
        "unused_steps": list(verdict.unused),
    }


def _in_words(file: Path, verdict: Verdict) -> Iterator[str]:
    from deploy.cli.experiment.printable import one_line

    run = verdict.run
    steps = "1 step" if len(run.recorded.steps) == 1 else f"{len(run.recorded.steps)} steps"
    yield f"{file}: {'the same' if verdict.same else 'DIFFERENT'}"
    yield f"Run {one_line(run.name, 200)} ({run.experiment_id}), seed {run.seed}, {steps}"
    for one in verdict.differences:
        where = "" if one.place is None else f"{one_line(one.place, 300)}: "
        yield f"  {one.kind.value}: {where}{one_line(one.message, 600)}"
    if not verdict.same and (other := verdict.other_version) is not None:
        yield f"  {one_line(other, 600)}"
    if verdict.unused:
        first = one_line(verdict.unused[0], 300)
        yield (
            f"{len(verdict.unused)} of the steps are not come to again, as it was in the run: they belong to "
            f"what failed and was gone on without (the first: {first})"
        )
    yield f"Configuration, SHA-256: {run.config_hash}"
    yield f"Steps, SHA-256: {verdict.steps_sha256}"
    yield f"Result, SHA-256: {run.sha256}"
    if verdict.computed not in (None, run.sha256):
        yield f"Result as it comes of the steps, SHA-256: {verdict.computed}"


def _write(file: Path, chunks: Iterable[bytes]) -> None:
    """Write all or nothing: half an export must not lie there under its name."""
    half = file.with_name(f"{file.name}.part")
    try:
        try:
            with _opened(half, compressed=file.suffix.lower() == ".gz") as stream:
                for chunk in chunks:
                    stream.write(chunk)
            os.replace(half, file)
        finally:
            half.unlink(missing_ok=True)
    except OSError as error:
        raise typer.BadParameter(
            f"{file} cannot be written: {error.strerror}", param_hint="--output"
        ) from error


@contextmanager
def _opened(file: Path, *, compressed: bool) -> Iterator[IO[bytes] | gzip.GzipFile]:
    with file.open("wb") as plain:
        if not compressed:
            yield plain
            return
        # Without a name and a time in it: two exports are the same.
        with gzip.GzipFile(filename="", mode="wb", fileobj=plain, mtime=0) as packed:
            yield packed
