"""Servers of the tests of this folder, each started when a test first asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.external.servers.certificates import Authority
from tests.support.servers import server_directory


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that accounts of servers can pass through, removed at the end."""
    with server_directory() as root:
        yield root


@pytest.fixture
def authority(directory: Path) -> Authority:
    """A certificate authority."""
    return Authority(directory)
