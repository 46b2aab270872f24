"""What a role is told in its environment is what the settings know, and what they make of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from deploy.validation import chart
from shared import settings_files
from shared.settings import Settings
from tests.unit.deploy.kubernetes.rendered import Rendered

KNOWN = {f"PARLEY_{name}".upper() for name in Settings.model_fields} | set(
    settings_files.variables(Settings).values()
)
#: What a role gets beside settings: its home, and what libpq reads.
OTHERS = {"HOME", "PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"}

#: What the files of a Secret hold in these tests.
CONTENTS = {
    "database_url": "postgresql://parley:password@postgres.data:6432/parley",
    "migration_database_url": "postgresql://parley:password@postgres.data:5432/parley",
    "redis_url": "rediss://parley:password@redis.data:6379/0",
    "redis_sentinel_password": "sentinels-password",
    "broker_url": "amqps://parley:password@rabbitmq.data:5671/parley",
    "secret_key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "admin_key": "a-key-of-the-first-administrator",
    "flower_password": "a-password-of-flower",
    "flower_broker_api": "https://looks:password@rabbitmq.data:15671",
}


def read(rendered: Rendered, component: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings as the role's process would read them, with its files below ``folder``."""
    for name in [name for name in os.environ if name.startswith("PARLEY_")]:
        monkeypatch.delenv(name)
    for path, _, key in rendered.secret_files(component):
        file = folder / component / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(CONTENTS.get(key, "-----BEGIN CERTIFICATE-----\n"))
    for name, value in rendered.environment(component).items():
        if name.startswith("PARLEY_"):
            monkeypatch.setenv(name, value if not value.startswith("/") else f"{folder / component}{value}")
    return Settings()


def test_every_variable_is_one_that_somebody_reads(rendered: Rendered) -> None:
    for component in rendered.pods():
        assert set(rendered.environment(component)) <= KNOWN | OTHERS, component


def test_every_role_can_read_its_settings(
    rendered: Rendered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for component in rendered.pods():
        with monkeypatch.context() as patch:
            settings = read(rendered, component, tmp_path, patch)
        assert settings.metrics_listen == "0.0.0.0:9464"


def test_settings_arrive_as_they_were_given(
    production: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read(Rendered(chart.render(production)), "worker-chat", tmp_path, monkeypatch)
    given = production["settings"]
    assert {name: getattr(settings, name) for name in given} == {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }
    assert settings.redis_url == CONTENTS["redis_url"]
    assert settings.redis.tls.authority is not None
    assert settings.redis.tls.certificate is not None
    assert settings.secret_key_file is not None


def test_a_role_sees_no_secret_that_it_does_not_need(least: dict[str, Any]) -> None:
    least["secrets"]["values"] = CONTENTS
    least["flower"] = {"enabled": True}
    rendered = Rendered(chart.render(least))
    seen = {
        component: {key for _, _, key in rendered.secret_files(component)} for component in rendered.pods()
    }
    common = {"database_url", "redis_url", "redis_sentinel_password", "broker_url"}
    assert seen == {
        "gateway": common | {"secret_key", "admin_key"},
        "worker-chat": common | {"secret_key"},
        "worker-experiment": common | {"secret_key"},
        "maintenance": common,
        "migrations": {"database_url", "migration_database_url"},
        "flower": {
            *("redis_url", "redis_sentinel_password", "broker_url"),
            *("flower_password", "flower_broker_api"),
        },
    }


def test_no_secret_is_a_variable_or_in_the_config_map(least: dict[str, Any]) -> None:
    least["secrets"]["values"] = CONTENTS
    least["flower"] = {"enabled": True}
    rendered = Rendered(chart.render(least))
    told = str([made for made in rendered.objects if made["kind"] != "Secret"])
    assert not [name for name, content in CONTENTS.items() if content in told]


def test_every_secret_that_is_named_is_there(rendered: Rendered, values: dict[str, Any]) -> None:
    made = {secret["metadata"]["name"]: set(secret["stringData"]) for secret in rendered.of("Secret")}
    if existing := values["secrets"].get("existingSecret"):
        made[existing] = set(values["secrets"]["keys"])
    for server in ("postgres", "redis", "broker"):
        tls = values.get(server, {}).get("tls", {})
        made |= {tls["caSecret"]: {"ca.crt"}} if "caSecret" in tls else {}
        made |= {tls["clientSecret"]: {"tls.crt", "tls.key"}} if "clientSecret" in tls else {}
    for component in rendered.pods():
        for path, secret, key in rendered.secret_files(component):
            assert key in made.get(secret, ()), f"{component} mounts {path} from {secret}"


def test_postgres_is_verified_where_its_authority_is_given(production: dict[str, Any]) -> None:
    rendered = Rendered(chart.render(production))
    for component in ("gateway", "worker-chat", "maintenance", "migrations"):
        environment = rendered.environment(component)
        assert environment["PGSSLMODE"] == "verify-full"
        files = {path for path, _, _ in rendered.secret_files(component)}
        assert {environment[name] for name in ("PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY")} <= files
    assert "PGSSLMODE" not in rendered.environment("flower")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("script_memory", 134217728, "134217728"),
        ("max_body", 16777216, "16777216"),
        ("trigger_timeout", 0.05, "0.05"),
        ("drain_grace", 30, "30"),
        ("redis_tls_check_hostname", False, "false"),
        ("owner_running", 0, "0"),
        ("outbound_allow", ["a:1", "10.0.0.0/8"], "a:1,10.0.0.0/8"),
        ("outbound_allow", [], ""),
    ],
)
def test_a_value_becomes_the_text_that_the_settings_read(
    least: dict[str, Any], name: str, value: object, told: str
) -> None:
    least["settings"] = {name: value}
    (data,) = [made["data"] for made in Rendered(chart.render(least)).of("ConfigMap")]
    assert data[f"PARLEY_{name.upper()}"] == told


def test_a_setting_of_null_is_left_at_its_default(least: dict[str, Any]) -> None:
    least["settings"] = {"otlp_endpoint": None}
    (data,) = [made["data"] for made in Rendered(chart.render(least)).of("ConfigMap")]
    assert set(data) == {"PARLEY_METRICS_LISTEN"}
