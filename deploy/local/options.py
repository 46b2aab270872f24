"""What the one-machine stack is asked to be, and which of its parts somebody else provides."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from deploy import roles
from deploy.local.directories import DataDir

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8642


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """The options of ``parley up``.

    Attributes:
        data_dir: where everything lies.
        host: address that the gateway listens on.
        port: its port; 0 picks a free one.
        any_port: take a free port when ``port`` is taken, instead of refusing.
        workers: worker processes.
        concurrency: jobs that each of them runs at once.
        local_model: whether to serve a model here.
        flower: whether to run Flower.
        flower_port: its port on 127.0.0.1; 0 picks a free one.
        metrics_port: of 127.0.0.1, where the gateway tells its metrics; each worker has one behind it.
    """

    data_dir: Path
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    any_port: bool = False
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    concurrency: int = roles.CONCURRENCY
    local_model: bool = True
    flower: bool = False
    flower_port: int = roles.FLOWER_PORT
    metrics_port: int | None = None

    @property
    def data(self) -> DataDir:
        """The layout of the data directory."""
        return DataDir(self.data_dir)


#: Which variable names the part of somebody else.
EXTERNAL_VARIABLES = {
    "postgres": "PARLEY_DATABASE_URL",
    "valkey": "PARLEY_REDIS_URL",
    "model": "PARLEY_LOCAL_MODEL_URL",
}


def external(part: str, environment: Mapping[str, str]) -> str | None:
    """The address of a part that is provided elsewhere; None when we start our own."""
    return environment.get(EXTERNAL_VARIABLES[part]) or None


def without_password(url: str) -> str:
    """The address as it may be shown."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{parts.username or ''}:***@{host}").geturl()
