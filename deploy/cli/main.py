"""``parley``: the commands put together, and errors turned into messages and exit codes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from deploy.cli import backup, chat, experiment, keys, personas, stack, users
from deploy.exit_codes import ExitCode

app = typer.Typer(
    name="parley",
    help="Chats and deliberation experiments with language models, as durable jobs. "
    "`parley chat` starts everything it needs on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(chat.chat)
app.command()(stack.up)
app.command()(stack.down)
app.command()(stack.status)
app.command()(stack.logs)
app.command()(backup.backup)
app.command()(backup.restore)
app.add_typer(users.app, name="users")
app.add_typer(keys.app, name="keys")
app.add_typer(personas.app, name="personas")
app.add_typer(experiment.app, name="experiment")


@app.command()
def version() -> None:
    """Print the version."""
    from shared import __version__

    typer.echo(f"parley {__version__}")


def _show_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def _parley(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line. Exits with one of :class:`deploy.exit_codes.ExitCode`."""
    from deploy.cli.api import ApiError
    from deploy.local.errors import LocalStackError

    try:
        code = app(standalone_mode=False)
    except typer.Exit as error:
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = ExitCode.INTERRUPTED
    except (LocalStackError, ApiError) as error:
        typer.echo(f"parley: {error}", err=True)
        code = error.exit_code
    except BrokenPipeError:  # head, less: whoever reads us has had enough
        sys.stderr.close()
        code = ExitCode.OK
    except Exception as error:
        show = getattr(error, "show", None)  # what typer raises for a command line that makes no sense
        if show is None:
            raise
        show()
        code = ExitCode.USAGE
    sys.exit(code if isinstance(code, int) else ExitCode.OK)


if __name__ == "__main__":
    main()
