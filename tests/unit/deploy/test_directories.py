"""Where data lies, and what must be private is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from deploy.local.directories import SOCKET_PATH_LIMIT, DataDir, default_data_dir, private_directory
from deploy.local.errors import LocalStackError, UnsafeDirectoryError

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what belongs to somebody else")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("uid", "environment", "expected"),
    [
        (0, {}, "/var/lib/parley"),
        (0, {"XDG_DATA_HOME": "/data"}, "/var/lib/parley"),
        (0, {"PARLEY_DATA_DIR": "/srv/p"}, "/srv/p"),
        (1000, {"XDG_DATA_HOME": "/data"}, "/data/parley"),
        (1000, {"XDG_DATA_HOME": "not/absolute"}, "~/.local/share/parley"),
        (1000, {}, "~/.local/share/parley"),
        (1000, {"PARLEY_DATA_DIR": "~/p"}, "~/p"),
        (1000, {"PARLEY_DATA_DIR": ""}, "~/.local/share/parley"),
    ],
)
def test_the_default_suits_the_user(
    monkeypatch: pytest.MonkeyPatch, uid: int, environment: dict[str, str], expected: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert default_data_dir(environment) == Path(expected).expanduser()


def test_a_relative_name_does_not_move_with_the_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_data_dir({"PARLEY_DATA_DIR": "here"}) == tmp_path / "here"


def test_data_is_for_its_owner_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        data = DataDir(tmp_path / "deep" / "down")
        data.create()
        data.sockets()
    finally:
        os.umask(before)
        data.remove_far_sockets()
    passage = 0o711 if os.geteuid() == 0 else 0o700
    assert {path.name: mode(path) for path in (data.root, data.run, data.logs, data.models, data.valkey)} == {
        "down": passage,
        "run": passage,
        "logs": 0o700,
        "models": 0o700,
        "valkey": 0o700,
    }


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalStackError, match=r"--data-dir"):
        DataDir(tmp_path / "file" / "data").create()


def test_an_open_directory_of_ours_is_closed(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert mode(private_directory(tmp_path / "open")) == 0o700


def test_a_link_is_refused_even_if_it_leads_to_a_directory_of_ours(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(UnsafeDirectoryError, match="not a directory"):
        private_directory(tmp_path / "link")


@root_only
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "foreign").mkdir()
    os.chown(tmp_path / "foreign", 12345, 12345)
    with pytest.raises(UnsafeDirectoryError, match="12345"):
        private_directory(tmp_path / "foreign")


def test_sockets_lie_with_the_data_while_their_path_is_short(tmp_path: Path) -> None:
    data = DataDir(Path("/tmp") / f"p{os.getpid()}")
    try:
        data.create()
        assert data.sockets() == data.run / "sockets"
        data.remove_far_sockets()
        assert data.sockets().is_dir()
    finally:
        import shutil

        shutil.rmtree(data.root)


def test_sockets_of_a_deep_data_directory_fit_and_are_private_and_go_away(tmp_path: Path) -> None:
    data = DataDir(tmp_path / ("d" * 90))
    data.create()
    sockets = data.sockets()
    assert len(os.fsencode(sockets / "postgres" / ".s.PGSQL.5432")) < SOCKET_PATH_LIMIT
    assert sockets == data.sockets()
    assert mode(sockets) & 0o066 == 0
    data.remove_far_sockets()
    assert not sockets.exists()


@root_only
def test_a_socket_directory_that_somebody_made_before_us_is_refused(tmp_path: Path) -> None:
    data = DataDir(tmp_path / ("e" * 90))
    data.create()
    sockets = data.sockets()
    os.chown(sockets, 12345, 12345)
    try:
        with pytest.raises(UnsafeDirectoryError, match="somebody else made it"):
            data.sockets()
    finally:
        sockets.rmdir()
