"""Keys are made once and are nobody else's."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest

from deploy.local.directories import DataDir
from deploy.local.errors import LocalStackError
from deploy.local.key_files import admin_key, key_in, new_secret_key, read_key, write_private


def test_a_key_is_made_once(tmp_path: Path) -> None:
    made = iter(["first", "second"])
    assert key_in(tmp_path / "key", lambda: next(made)) == "first"
    assert key_in(tmp_path / "key", lambda: next(made)) == "first"


def test_nobody_else_can_read_it_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = os.fsync

    def look(descriptor: int) -> None:
        seen.extend(stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    before = os.umask(0)
    try:
        key_in(tmp_path / "key", lambda: "secret")
    finally:
        os.umask(before)
    assert set(seen) == {0o600}
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_one_that_others_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n")
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(LocalStackError, match="chmod 600"):
        read_key(tmp_path / "key")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    write_private(tmp_path / "key", b"\n")
    with pytest.raises(LocalStackError, match="holds no key"):
        read_key(tmp_path / "key")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match="No such file"):
        read_key(tmp_path / "key")


def test_a_write_that_fails_leaves_the_old_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_private(tmp_path / "key", b"old\n")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_private(tmp_path / "key", b"new\n")
    assert read_key(tmp_path / "key") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_the_environment_names_the_admin_key_and_nothing_is_stored(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    assert admin_key(data, {"PARLEY_ADMIN_KEY": "chosen-by-the-operator"}) == "chosen-by-the-operator"
    assert not data.admin_key.exists()
    generated = admin_key(data, {})
    assert generated.startswith("parley_")
    assert admin_key(data, {}) == generated


def test_a_secret_key_is_32_bytes() -> None:
    assert len(base64.urlsafe_b64decode(new_secret_key())) == 32
