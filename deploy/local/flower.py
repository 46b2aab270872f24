"""Flower as a part of the stack of one machine."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping
from importlib import metadata
from typing import BinaryIO

from deploy import roles
from deploy.flower import FlowerError, check_installed
from deploy.local import key_files
from deploy.local.directories import DataDir
from deploy.local.errors import NotInstalledError
from deploy.local.parts import Part, answers
from deploy.local.process import Child

#: What it has no use for, and shall not hold.
_NOT_FOR_FLOWER = frozenset(
    {
        "PARLEY_ADMIN_KEY",
        "PARLEY_SECRET_KEY",
        "PARLEY_SECRET_KEY_FILE",
        "PARLEY_DATABASE_URL",
        "PARLEY_MIGRATION_DATABASE_URL",
        "PARLEY_LOCAL_MODEL_KEY",
    }
)


def new_password() -> str:
    """A password that nobody guesses."""
    return secrets.token_urlsafe(18)


class FlowerPart(Part):
    """Flower, on a socket that outlives it.

    Raises:
        NotInstalledError: it is not installed.
    """

    label = "Flower"

    def __init__(
        self, data: DataDir, environment: Mapping[str, str], listener: socket.socket, url: str
    ) -> None:
        try:
            check_installed()
        except FlowerError as error:
            raise NotInstalledError(str(error)) from None
        super().__init__("flower", metadata.version("flower"), url)
        self._data, self._listener = data, listener
        self._environment = {
            name: value for name, value in environment.items() if name not in _NOT_FOR_FLOWER
        }
        if not self._environment.get("PARLEY_FLOWER_PASSWORD"):
            password = key_files.key_in(data.flower_password, new_password)
            self._environment["PARLEY_FLOWER_PASSWORD"] = password

    def spawn(self, output: BinaryIO) -> Child:
        """Start the process."""
        descriptor = self._listener.fileno()
        return Child.spawn(
            roles.flower(descriptor=descriptor).command(),
            name=self.name,
            env=self._environment,
            output=output,
            cwd=self._data.root,
            pass_fds=(descriptor,),
        )

    def ready(self) -> bool:
        """Whether it answers."""
        return answers(self.address, "/healthcheck")
