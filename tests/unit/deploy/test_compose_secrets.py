"""The secrets of the compose file: made once, closed on the host, readable for the user in the container."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from shared.security.bootstrap import MIN_KEY
from shared.security.secrets import SecretBox

ROOT = Path(__file__).parents[3]


def write(folder: Path) -> str:
    done = subprocess.run(
        ["sh", ROOT / "scripts/compose-secrets", folder], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    write(made)
    return made


def test_every_secret_of_the_compose_file_is_written(folder: Path) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert {path.name for path in folder.iterdir()} == set(compose["secrets"])


def test_the_folder_is_closed_and_its_files_are_readable_in_a_container(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}


def test_what_is_there_is_kept(folder: Path) -> None:
    before = {path.name: path.read_text() for path in folder.iterdir()}
    os.unlink(folder / "flower_password")
    assert write(folder).count("made ") == 1
    after = {path.name: path.read_text() for path in folder.iterdir()}
    assert after.pop("flower_password") != before.pop("flower_password")
    assert after == before


def test_no_two_are_alike_and_no_two_installations(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "other")
    random = ["postgres_password", "redis_password", "admin_key", "flower_password", "grafana_password"]
    values = [(place / name).read_text() for place in (folder, tmp_path / "other") for name in random]
    assert len(set(values)) == len(values)
    assert all(len(value) == 32 for value in values)


def test_addresses_hold_the_passwords_of_their_servers(folder: Path) -> None:
    database = urlsplit((folder / "database_url").read_text().strip())
    redis = urlsplit((folder / "redis_url").read_text().strip())
    assert database.password == (folder / "postgres_password").read_text()
    assert (database.username, database.hostname, database.path) == ("parley", "postgres", "/parley")
    assert redis.password == (folder / "redis_password").read_text()
    assert (folder / "redis_password_line").read_text() == f"requirepass {redis.password}\n"


def test_the_keys_are_such_as_parley_takes(folder: Path) -> None:
    box = SecretBox((folder / "secret_key").read_text())
    assert box.decrypt(box.encrypt({"a": "b"})) == {"a": "b"}
    assert len((folder / "admin_key").read_text()) >= MIN_KEY
