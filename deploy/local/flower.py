"""Flower as a part of the stack of one machine."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping
from importlib import metadata

from deploy import roles
from deploy.flower import FlowerError, check_installed
from deploy.local import key_files
from deploy.local.directories import DataDir
from deploy.local.errors import NotInstalledError
from deploy.local.parts import ListeningPart

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


class FlowerPart(ListeningPart):
    """Flower.

    Raises:
        NotInstalledError: it is not installed.
    """

    label = "Flower"
    health = "/healthcheck"

    def __init__(
        self, data: DataDir, environment: Mapping[str, str], listener: socket.socket, url: str
    ) -> None:
        try:
            check_installed()
        except FlowerError as error:
            raise NotInstalledError(str(error)) from None
        own = {name: value for name, value in environment.items() if name not in _NOT_FOR_FLOWER}
        if not own.get("PARLEY_FLOWER_PASSWORD"):
            own["PARLEY_FLOWER_PASSWORD"] = key_files.key_in(data.flower_password, new_password)
        super().__init__(
            "flower", metadata.version("flower"), data=data, environment=own, listener=listener, url=url
        )

    def role(self, descriptor: int) -> roles.Role:
        """What is started."""
        return roles.flower(descriptor=descriptor)
