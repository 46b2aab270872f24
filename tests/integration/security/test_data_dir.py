"""What lies in a data directory leads nowhere else, and no process holds a key that it has no use for."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local.directories import DataDir
from deploy.local.errors import UnsafeDirectoryError
from deploy.local.parts import WorkerPart
from tests.support.servers import make_postgres


def test_a_link_in_place_of_the_database_is_refused_by_name(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    server = make_postgres(tmp_path / "data")
    server.data.parent.mkdir(parents=True, exist_ok=True)
    server.data.symlink_to(elsewhere)
    with pytest.raises(UnsafeDirectoryError, match="is not a directory"):
        server.prepare()
    assert list(elsewhere.iterdir()) == []


def test_a_worker_does_not_get_the_key_of_the_administrator(tmp_path: Path) -> None:
    given = {"PARLEY_ADMIN_KEY": "the-key-of-the-operator", "PARLEY_REDIS_URL": "redis://127.0.0.1:1"}
    part = WorkerPart(DataDir(tmp_path), given, 1, 1)
    assert part._environment == {"PARLEY_REDIS_URL": "redis://127.0.0.1:1"}
