"""Compose with servers of one's own: the bundled ones stay away, and every role finds what it needs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from shared.settings import Settings
from tests.unit.deploy.compose_command import ROOT, merged

FILES = ("docker-compose.yml", "deploy/docker/own-servers.yaml")
OWN = ("migrate", "gateway", "worker-chat", "worker-experiment", "maintenance", "flower")

#: What somebody has who has everything.
ADDRESSES = {
    "database_url": "postgresql://parley:password@pooler.example:6432/parley?sslmode=verify-full",
    "migration_database_url": "postgresql://parley:password@db.example:5432/parley?sslmode=verify-full",
    "redis_url": "rediss://parley:password@redis/0",
    "redis_sentinel_password": "sentinels-password",
    "broker_url": "amqps://parley:password@rabbitmq.example:5671/parley",
    "flower_broker_api": "https://flower:password@rabbitmq.example:15671",
}
SETTINGS = {
    "PARLEY_REDIS_TLS_CA": "/etc/parley/tls/ca.pem",
    "PARLEY_REDIS_SENTINELS": "10.0.0.1:26379,10.0.0.2:26379",
    "PARLEY_REDIS_SENTINEL_MASTER": "the-master",
    "PARLEY_BROKER_TLS_CA": "/etc/parley/tls/ca.pem",
    **{
        f"PARLEY_{name.upper()}_FILE": f"/run/secrets/{name}"
        for name in ("migration_database_url", "redis_sentinel_password", "broker_url", "flower_broker_api")
    },
}


class Project:
    """A checkout with secrets and a ``.env`` of its own."""

    def __init__(self, folder: Path, addresses: dict[str, str], settings: dict[str, str]) -> None:
        self.folder = folder
        for file in FILES:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, folder / file)
        self.secrets = folder / "deploy/docker/secrets"
        self.secrets.mkdir()
        for name, address in addresses.items():
            (self.secrets / name).write_text(f"{address}\n")
        told = "".join(f"{name}={value}\n" for name, value in settings.items())
        (folder / ".env").write_text(f"COMPOSE_FILE={':'.join(FILES)}\n{told}")
        subprocess.run(
            ["sh", ROOT / "scripts/compose-secrets", "--own-servers", self.secrets],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        (self.secrets / "certificates/ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")

    def services(self) -> dict[str, Any]:
        """The services that would come up."""
        config = merged(directory=self.folder, env_file=".env")
        self.files = {name: secret["file"] for name, secret in config["secrets"].items()}
        found: dict[str, Any] = config["services"]
        return found

    def read(self, service: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Settings:
        """The settings as a service's process would read them, from the files that it is given."""
        for name in [name for name in os.environ if name.startswith("PARLEY_")]:
            monkeypatch.delenv(name)
        places = {secret["target"]: self.files[secret["source"]] for secret in service["secrets"]}
        mounts = {mount["target"]: mount["source"] for mount in service["volumes"]}
        for name, value in service["environment"].items():
            if name.startswith("PARLEY_"):
                folder, _, file = value.rpartition("/")
                monkeypatch.setenv(
                    name, places.get(value) or (f"{mounts[folder]}/{file}" if folder in mounts else value)
                )
        return Settings()


@pytest.fixture
def everything(tmp_path: Path) -> Project:
    return Project(tmp_path, ADDRESSES, SETTINGS)


@pytest.fixture
def least(tmp_path: Path) -> Project:
    addresses = {"database_url": "postgresql://parley:password@db.example/parley"}
    return Project(tmp_path, {**addresses, "redis_url": "redis://:password@redis.example/0"}, {})


def test_the_bundled_servers_stay_away_and_nothing_waits_for_them(least: Project) -> None:
    services = least.services()
    assert set(services) == set(OWN)
    needed = {
        (name, dependency)
        for name, service in services.items()
        for dependency, how in service.get("depends_on", {}).items()
        if how["required"]
    }
    assert needed == {
        (name, "migrate") for name in ("gateway", "worker-chat", "worker-experiment", "maintenance")
    }


@pytest.mark.parametrize("server", ["redis", "postgres"])
def test_one_of_them_can_be_kept_and_is_waited_for(tmp_path: Path, server: str) -> None:
    project = Project(tmp_path, {}, {"COMPOSE_PROFILES": f"bundled-{server}"})
    services = project.services()
    assert set(services) == {*OWN, server}
    waits = {name for name, service in services.items() if server in service.get("depends_on", {})}
    assert waits == ({"migrate"} if server == "postgres" else set(OWN) - {"migrate"})
    assert all(services[name]["depends_on"][server]["condition"] == "service_healthy" for name in waits)


def test_every_role_has_a_way_out(least: Project) -> None:
    for name, service in least.services().items():
        assert "outside" in service["networks"], name


def test_every_role_reads_its_settings(everything: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    services = everything.services()
    read = {}
    for name in OWN:
        with monkeypatch.context() as patch:
            read[name] = everything.read(services[name], patch)
    migrating = read.pop("migrate")
    assert migrating.migration_database_url is not None
    assert "db.example" in migrating.migration_database_url
    for name, settings in read.items():
        assert settings.redis_url == ADDRESSES["redis_url"], name
        assert settings.redis.tls.authority is not None, name
        assert settings.redis.sentinel_password == ADDRESSES["redis_sentinel_password"], name
        assert settings.broker_url == ADDRESSES["broker_url"], name
        assert settings.broker_tls.authority is not None, name
        assert settings.migration_database_url is None, name
        asked = settings.flower_broker_api
        told = None if asked is None else asked.get_secret_value()
        assert told == (ADDRESSES["flower_broker_api"] if name == "flower" else None), name
    for name in set(read) - {"flower"}:
        assert "pooler.example" in read[name].database_url, name


def test_what_is_not_used_is_not_read(least: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for service in least.services().values():
        with monkeypatch.context() as patch:
            settings = least.read(service, patch)
        assert settings.broker_url is None
        assert settings.migration_database_url is None
        assert settings.redis_sentinel_password is None
        assert settings.flower_broker_api is None


def test_a_role_sees_no_secret_that_it_does_not_need(everything: Project) -> None:
    seen = {
        name: {secret["source"] for secret in service["secrets"]}
        for name, service in everything.services().items()
    }
    redis = {"redis_url", "redis_sentinel_password", "broker_url"}
    assert seen == {
        "migrate": {"database_url", "migration_database_url"},
        "gateway": redis | {"database_url", "secret_key", "admin_key"},
        "worker-chat": redis | {"database_url", "secret_key"},
        "worker-experiment": redis | {"database_url", "secret_key"},
        "maintenance": redis | {"database_url"},
        "flower": redis | {"flower_password", "flower_broker_api"},
    }


def test_certificates_are_mounted_for_reading_and_must_be_there(everything: Project) -> None:
    for name, service in everything.services().items():
        (mount,) = service["volumes"]
        assert mount["source"] == str(everything.secrets / "certificates"), name
        assert mount["read_only"] is True
        assert not mount["bind"].get("create_host_path")


def test_nothing_else_is_less_strict(everything: Project) -> None:
    plain = merged()["services"]
    for name, service in everything.services().items():
        for kept in ("read_only", "user", "cap_drop", "security_opt", "command", "deploy", "tmpfs"):
            assert service[kept] == plain[name][kept], (name, kept)
        assert service.get("ports") == plain[name].get("ports")
