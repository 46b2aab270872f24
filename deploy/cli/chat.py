"""``parley chat``: one message, or a conversation in the terminal."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from deploy.cli.data_dir import DataDirOption, chosen
from deploy.exit_codes import ExitCode


def chat(
    message: Annotated[
        str | None,
        typer.Argument(
            help="What to say. Without it: standard input, or a prompt for a whole conversation.",
            show_default=False,
        ),
    ] = None,
    persona: Annotated[str | None, typer.Option(help="Name or id of a persona.", show_default=False)] = None,
    conversation: Annotated[
        str | None, typer.Option(help="Id of a conversation to go on with.", show_default=False)
    ] = None,
    connection: Annotated[
        str | None, typer.Option(help="Name or id of a provider connection.", show_default=False)
    ] = None,
    model: Annotated[str | None, typer.Option(help="A model of the connection.", show_default=False)] = None,
    module: Annotated[
        list[str] | None,
        typer.Option(help="An ON_DEMAND module to run in each turn; may be repeated.", show_default=False),
    ] = None,
    no_stream: Annotated[
        bool, typer.Option("--no-stream", help="Print the answer when it is complete.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the complete answer as JSON, for programs.")
    ] = False,
    data_dir: DataDirOption = None,
) -> None:
    """Talk to a model; the answer streams to the terminal.

    When no stack runs on this machine and PARLEY_URL names none, the embedded one is started in the
    background first; `parley down` stops it.
    """
    from deploy.cli.starting import open_or_start
    from deploy.cli.turn import Turn, send, stream

    if message is None and not sys.stdin.isatty():
        message = sys.stdin.read()
    if message is not None and not message.strip():
        raise typer.BadParameter("say something: the message is blank", param_hint="MESSAGE")
    api = open_or_start(chosen(data_dir))
    settings: dict[str, Any] = {}
    if persona:
        settings["persona_id"] = api.find("/api/personas", persona, "persona")["id"]
    if connection:
        settings["connection_id"] = api.find("/api/connections", connection, "connection")["id"]
    if model:
        settings["model"] = model
    if conversation:
        settings["conversation_id"] = conversation
    if module:
        settings["modules"] = module
    turn = Turn(api, settings)
    run = send if no_stream or as_json else stream
    if message is not None:
        raise typer.Exit(run(turn, message, as_json=as_json))
    typer.echo("Ctrl-C stops an answer; Ctrl-D ends the conversation.", err=True)
    while True:
        try:
            said = input("\nyou> ")
        except EOFError:
            typer.echo()
            break
        if said.strip():
            code = run(turn, said, as_json=as_json)
            if code not in (ExitCode.OK, ExitCode.INTERRUPTED, ExitCode.FAILED):
                raise typer.Exit(code)
