"""The gateway that a command talks to, started first when none runs on this machine."""

from __future__ import annotations

from deploy.cli.access import named_gateway, open_api
from deploy.cli.api import Api
from deploy.local.directories import DataDir
from deploy.local.state import running_stack


def open_or_start(data: DataDir) -> Api:
    """As :func:`deploy.cli.access.open_api`; where no stack runs, the embedded one is started first, in the
    background.

    Raises:
        LocalStackError: it cannot be started, or the gateway that is named cannot be used.
    """
    if named_gateway() is None and running_stack(data) is None:
        import os

        from deploy.cli.program import command
        from deploy.cli.progress import StartDisplay
        from deploy.local import detached
        from deploy.local.options import StackOptions

        with StartDisplay() as display:
            display.console.print("No Parley runs here yet: starting it.", markup=False)
            detached.start(StackOptions(data_dir=data.root, any_port=True), os.environ, display)
            display.finish()
            display.console.print(
                f"Parley runs in the background. Its data lies in {data.root}. "
                f"Stop it with: {command('down', data)}\n",
                markup=False,
                soft_wrap=True,
            )
    return open_api(data)
