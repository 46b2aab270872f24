"""Which gateway the command talks to, and with which key."""

from __future__ import annotations

import os

from deploy.cli.api import Api
from deploy.local.directories import DataDir
from deploy.local.errors import LocalStackError, NotRunningError
from deploy.local.key_files import read_key
from deploy.local.state import running_stack
from shared import settings_files


def named_gateway() -> str | None:
    """The gateway that ``PARLEY_URL`` names."""
    return os.environ.get("PARLEY_URL") or None


def open_api(data: DataDir) -> Api:
    """``PARLEY_URL`` with ``PARLEY_API_KEY``, else the stack of this data directory with its admin key.

    Raises:
        LocalStackError: the URL is given without a key, or the key cannot be read.
        NotRunningError: no stack runs, and no URL is given.
    """
    key = os.environ.get("PARLEY_API_KEY") or os.environ.get("PARLEY_ADMIN_KEY")
    if not key and (named := os.environ.get("PARLEY_ADMIN_KEY_FILE")):
        try:
            key = settings_files.read("PARLEY_ADMIN_KEY_FILE", named)
        except settings_files.SettingsFileError as error:
            raise LocalStackError(f"{error}.") from None
    if url := named_gateway():
        if not key:
            raise LocalStackError("PARLEY_URL is set, and no key for it: set PARLEY_API_KEY.")
        return Api(url, key)
    state = running_stack(data)
    if state is None:
        raise NotRunningError(
            f"No Parley runs on {data.root}. Start it with parley up, or set PARLEY_URL and PARLEY_API_KEY."
        )
    return Api(state.url, key or read_key(data.admin_key))
