"""``parley up``, ``down``, ``status`` and ``logs``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.data_dir import DataDirOption, chosen
from deploy.exit_codes import ExitCode

if TYPE_CHECKING:
    from deploy.local.directories import DataDir
    from deploy.local.state import StackState


def up(
    data_dir: DataDirOption = None,
    host: Annotated[str, typer.Option(help="Address that the gateway listens on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Its port; 0 picks a free one.")] = 8642,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, max=1024, help="Worker processes. Default: one for each core.", show_default=False
        ),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, max=100_000, help="Jobs that each worker runs at once.")
    ] = 500,
    no_local_model: Annotated[
        bool, typer.Option("--no-local-model", help="Do not fetch or serve a model on this machine.")
    ] = False,
    flower: Annotated[
        bool, typer.Option("--flower", help="Run Flower, too: it shows operators jobs, workers and queues.")
    ] = False,
    flower_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Flower's port on 127.0.0.1; 0 picks a free one.")
    ] = 5555,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="Tell metrics: the gateway on this port of 127.0.0.1, each worker on one behind it.",
            show_default=False,
        ),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Run in the background; return when everything is ready.")
    ] = False,
) -> None:
    """Run the whole stack on this machine: servers, gateway, workers and a local model.

    Stop it with Ctrl-C (or `parley down`); data stays. A server that PARLEY_DATABASE_URL, PARLEY_REDIS_URL or
    PARLEY_LOCAL_MODEL_URL names is used instead of an embedded one.
    """
    from deploy.cli.progress import StartDisplay
    from deploy.local.events import Event, Kind
    from deploy.local.options import StackOptions

    options = StackOptions(
        data_dir=chosen(data_dir).root,
        host=host,
        port=port,
        workers=workers or os.cpu_count() or 1,
        concurrency=concurrency,
        local_model=not no_local_model,
        flower=flower,
        flower_port=flower_port,
        metrics_port=metrics_port,
    )
    with StartDisplay() as display:
        if detach:
            from deploy.local import detached

            detached.start(options, os.environ, display)
            display.finish()
            welcome(options, display, detached=True)
            return
        from deploy.local.supervisor import Supervisor

        def report(event: Event) -> None:
            display(event)
            if event.kind is Kind.READY:
                welcome(options, display, detached=False)

        Supervisor(options, os.environ, report).run()


def welcome(options: object, display: object, *, detached: bool) -> None:
    """Say where everything is, and how to use and stop it."""
    from deploy.cli.program import command
    from deploy.cli.progress import StartDisplay
    from deploy.local.options import StackOptions
    from deploy.local.state import StackState

    assert isinstance(options, StackOptions)
    assert isinstance(display, StartDisplay)
    state = StackState.load(options.data.state)
    url = state.url if state else ""
    kept = os.environ.get("PARLEY_ADMIN_KEY_FILE") or options.data.admin_key
    key = "$PARLEY_ADMIN_KEY" if os.environ.get("PARLEY_ADMIN_KEY") else f"$(cat {kept})"
    chat = command('chat "Why is the sky blue?"', options.data)
    lines = [
        "",
        f"Parley is ready at {url} (API docs: {url}/docs)",
        f"  data   {options.data.root}",
        f"  chat   {chat}",
        f'  curl   curl -N {url}/api/chat/stream -H "Authorization: Bearer {key}" \\',
        "           -H 'Content-Type: application/json' -d '{\"message\": \"Why is the sky blue?\"}'",
        f"  stop   {command('down', options.data) if detached else 'Ctrl-C'}",
    ]
    if state and (told := flower_login(state, options.data)):
        lines.insert(-1, f"  flower {told}")
    if options.metrics_port:
        ports = ", ".join(str(options.metrics_port + number) for number in range(options.workers + 1))
        lines.insert(-1, f"  watch  http://127.0.0.1:{options.metrics_port}/metrics (ports {ports})")
    for line in lines:
        display.console.print(line, markup=False, soft_wrap=True)


def flower_login(state: StackState, data: DataDir) -> str | None:
    """Where Flower is, and how to log in; None where it does not run."""
    for part in state.parts:
        if part.name == "flower":
            own = "$PARLEY_FLOWER_PASSWORD"
            password = own if os.environ.get(own[1:]) else f"$(cat {data.flower_password})"
            return f"{part.address}  log in as admin with the password {password}"
    return None


def down(data_dir: DataDirOption = None) -> None:
    """Stop the stack; data stays."""
    from deploy.local.stopping import stop_stack

    stop_stack(chosen(data_dir), lambda text: typer.echo(text, err=True))
    typer.echo("stopped", err=True)


def status(
    data_dir: DataDirOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what runs: url, data directory, and each part with its version, pid, health and address."""
    import json

    from deploy.local.errors import NotRunningError
    from deploy.local.state import running_stack

    data = chosen(data_dir)
    state = running_stack(data)
    if state is None:
        if as_json:
            typer.echo(json.dumps({"url": None, "data_dir": str(data.root), "parts": []}))
            raise typer.Exit(ExitCode.NOT_RUNNING)
        raise NotRunningError(f"No Parley runs on {data.root}. Start it with parley up.")
    if as_json:
        typer.echo(json.dumps(state.public(), indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    for title in ("part", "health", "pid", "version", "address"):
        table.add_column(title, overflow="fold")
    for part in state.parts:
        health = f"{part.health.value} ({part.restarts}×)" if part.restarts else part.health.value
        table.add_row(part.name, health, str(part.pid or "-"), part.version or "-", part.address)
    console.print(f"{state.url}  ({'ready' if state.ready else 'starting'}, data in {state.data_dir})")
    console.print(table)
    if told := flower_login(state, data):
        console.print(f"Flower: {told}", markup=False, soft_wrap=True)


def logs(
    part: Annotated[
        str | None,
        typer.Argument(help="gateway, worker-1, postgres, … Default: all parts.", show_default=False),
    ] = None,
    data_dir: DataDirOption = None,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="Last lines of each log.")] = 50,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what is written.")] = False,
) -> None:
    """Print the logs of the parts."""
    from deploy.local.errors import LocalStackError
    from deploy.local.logs import follow_logs, tail

    data = chosen(data_dir)
    known = sorted(path.stem for path in data.logs.glob("*.log")) if data.logs.is_dir() else []
    if part is not None and part not in known:
        hint = f"There are: {', '.join(known)}." if known else "There are none yet."
        raise LocalStackError(f"No log of a part {part!r} in {data.logs}. {hint}")
    names = [part] if part else known
    for name in names:
        for line in tail(data.log(name), lines):
            typer.echo(line if part else f"{name:12} {line}")
    if follow:
        for name, line in follow_logs({name: data.log(name) for name in names}):
            typer.echo(line if part else f"{name:12} {line}")
