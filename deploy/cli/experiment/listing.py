"""``parley experiment list`` and ``show``."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli.data_dir import DataDirOption, chosen
from deploy.cli.experiment.options import ExperimentArgument
from deploy.cli.users import JsonOption

if TYPE_CHECKING:
    from deploy.cli.api import Api


class RunStatus(StrEnum):
    """How a run is."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: Columns of the list that hold numbers.
_RIGHT = (4, 5)


def list_experiments(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="The newest so many.")] = 20,
    name: Annotated[
        str | None,
        typer.Option(help="Only those with this in their names, in upper or lower case.", show_default=False),
    ] = None,
    status: Annotated[
        RunStatus | None, typer.Option(help="Only those of this status.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """List your experiments, newest first."""
    from deploy.cli.access import open_api

    items = list(islice(_found(open_api(chosen(data_dir)), limit, name, status), limit))
    if as_json:
        typer.echo(json.dumps(items, indent=2))
        return
    if not items and (name or status):
        typer.echo("None of your experiments is like that.")
        return
    if not items:
        typer.echo("There are no experiments yet; parley experiment init writes an example to begin with.")
        return
    from deploy.cli.experiment.printable import one_line

    rows = [
        ("id", "name", "status", "where", "tokens", "seed", "begun"),
        *(
            (
                item["id"][:8],
                one_line(item["name"] if item["kind"] == "run" else f"[{item['kind']}] {item['name']}", 60),
                item["status"],
                where(item),
                f"{item['tokens']:,}",
                str(item["seed"]),
                str(item["created_at"])[5:16].replace("T", " "),
            )
            for item in items
        ),
    ]
    for line in _table(rows):
        typer.echo(line)


def _found(api: Api, limit: int, name: str | None, status: RunStatus | None) -> Iterator[dict[str, Any]]:
    """The experiments that are asked for, page by page."""
    query: dict[str, str | int] = {"limit": 200 if name else min(limit, 200)}
    if status is not None:
        query["status"] = status.value
    while True:
        page = api.get("/api/experiments", **query)
        for item in page["items"]:
            if name is None or name.casefold() in item["name"].casefold():
                yield item
        if not page["next_cursor"]:
            return
        query["cursor"] = page["next_cursor"]


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns side by side; on a terminal the names (the second) get what the others leave."""
    from rich.cells import cell_len, set_cell_size

    widths = [max(cell_len(row[place]) for row in rows) for place in range(len(rows[0]))]
    if sys.stdout.isatty():
        left = shutil.get_terminal_size().columns - 1 - sum(widths) + widths[1] - 2 * (len(widths) - 1)
        widths[1] = max(min(widths[1], left), 8)
    for row in rows:
        cells = [
            " " * (width - cell_len(cell)) + cell if place in _RIGHT else set_cell_size(cell, width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def where(item: dict[str, Any]) -> str:
    """How far a run is, in a few words."""
    if item["status"] == "succeeded":
        return f"done, round {item['round']}" if item["round"] else "done"
    if not item["phase"]:
        return "not begun"
    place = f"round {item['round']}" if item["round"] else f"phase {item['phase']}"
    return f"{place}, {item['progress']:.0%}"


def show(experiment: ExperimentArgument, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Show one experiment: how far it is, what it used, its models, and its attempts."""
    from deploy.cli.access import open_api
    from deploy.cli.experiment.choosing import chosen_experiment, experiment_path
    from deploy.cli.experiment.printable import printable

    api = open_api(chosen(data_dir))
    found = api.get(experiment_path(chosen_experiment(api, experiment)))
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for title, words in _rows(found):
        typer.echo(f"{title:<12} {printable(words)}")


def _rows(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    from deploy.cli.experiment.telling import seconds_words

    yield "id", found["id"]
    yield "name", found["name"]
    if found["kind"] != "run":
        at = f" from round {found['fork_round']}" if found["kind"] == "fork" else ""
        yield "kind", f"{found['kind']} of {found['source_id']}{at}"
    status = found["status"]
    if found["queue_position"]:
        status += f" (place {found['queue_position']} in the queue)"
    yield "status", f"{status}; {where(found)}"
    if found["error"]:
        yield "error", f"{found['error'].get('message')} ({found['error'].get('code')})"
    elif found["last_failure"]:
        yield "failure", f"{found['last_failure'].get('message')} (an attempt; {found['failures']} so far)"
    left = "" if found["seconds_left"] is None else f", about {seconds_words(found['seconds_left'])} left"
    yield "time", f"{seconds_words(found['seconds'])}{left}"
    yield (
        "calls",
        f"{found['calls']} ({found['reasked']} asked again), {found['input_tokens']:,} + "
        f"{found['output_tokens']:,} tokens",
    )
    if found["cost"] is not None:
        yield "cost", f"{found['cost']:.4f}"
    if found["degraded"]:
        yield "degraded", f"{found['degraded']} services failed and were done without"
    yield "profile", found["profile"]
    source = f" ({found['seed_source']})" if found["seed_source"] else ""
    yield "seed", f"{found['seed']}{source}"
    models = found["models"]
    for agent, model in models.get("agents", {}).items():
        yield "model", f"{agent}: {_model(model)}"
    if models.get("utility"):
        yield "model", f"utility agent: {_model(models['utility'])}"
    for attempt in found["attempts"]:
        yield "attempt", _attempt(attempt)
    yield "config", f"SHA-256 {found['config_hash']}"
    if found["design_hash"]:
        yield "design", f"SHA-256 {found['design_hash']}"
    if found["result_hash"]:
        yield "result", f"SHA-256 {found['result_hash']}"
    if found["matches_source"] is not None:
        yield "digest", "the same as the source's" if found["matches_source"] else "not the source's"


def _model(model: dict[str, Any]) -> str:
    return f"{model['model']} over {model['connection_name']}"


def _attempt(attempt: dict[str, Any]) -> str:
    shown = (attempt.get(key) for key in ("attempt", "worker", "started_at", "finished_at", "outcome"))
    return " · ".join(str(value) for value in shown if value is not None)
