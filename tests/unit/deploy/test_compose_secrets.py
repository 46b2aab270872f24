"""The secrets of the compose file: made once, closed on the host, readable for the user in the container."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from shared.security.bootstrap import MIN_KEY
from shared.security.secrets import SecretBox

ROOT = Path(__file__).parents[3]


def write(folder: Path, *options: str) -> str:
    done = subprocess.run(
        ["sh", ROOT / "scripts/compose-secrets", *options, folder], capture_output=True, text=True, check=True
    )
    return done.stdout


def _read(file: Path) -> dict[str, Any]:
    """A compose file; what its tags do is left out."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    read: dict[str, Any] = yaml.load(file.read_text(), Loader)
    return read


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
    # As libpq's own programs spell it, too.
    assert database.scheme == "postgresql"
    assert redis.password == (folder / "redis_password").read_text()
    assert (folder / "redis_password_line").read_text() == f"requirepass {redis.password}\n"


def test_addresses_of_ones_own_are_kept_and_made_readable(tmp_path: Path) -> None:
    (tmp_path / "redis_url").write_text("redis://redis.example/0\n")
    (tmp_path / "redis_url").chmod(0o600)
    write(tmp_path)
    assert (tmp_path / "redis_url").read_text() == "redis://redis.example/0\n"
    assert stat.S_IMODE((tmp_path / "redis_url").stat().st_mode) == 0o444


def test_servers_of_ones_own_take_more_files_and_a_folder_for_certificates(folder: Path) -> None:
    write(folder, "--own-servers")
    files = ("docker-compose.yml", "deploy/docker/own-servers.yaml")
    named = {secret for file in files for secret in _read(ROOT / file)["secrets"]}
    assert {path.name for path in folder.iterdir()} == {*named, "certificates"}
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes.pop("certificates") == 0o755
    assert set(modes.values()) == {0o444}
    (folder / "broker_url").unlink()
    (folder / "broker_url").write_text("amqp://rabbitmq.example")
    (folder / "broker_url").chmod(0o600)
    write(folder, "--own-servers")
    assert (folder / "broker_url").read_text() == "amqp://rabbitmq.example"
    assert stat.S_IMODE((folder / "broker_url").stat().st_mode) == 0o444


def test_an_address_of_a_bundled_server_is_told(tmp_path: Path) -> None:
    (tmp_path / "database_url").write_text("postgresql://db.example/parley")
    said = write(tmp_path, "--own-servers")
    assert "COMPOSE_PROFILES=bundled-redis" in said
    assert "bundled-postgres" not in said


def test_an_option_that_there_is_not_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", ROOT / "scripts/compose-secrets", "--own", tmp_path / "made"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "--own-servers" in done.stderr
    assert not (tmp_path / "made").exists()


def test_the_keys_are_such_as_parley_takes(folder: Path) -> None:
    box = SecretBox((folder / "secret_key").read_text())
    assert box.decrypt(box.encrypt({"a": "b"})) == {"a": "b"}
    assert len((folder / "admin_key").read_text()) >= MIN_KEY
