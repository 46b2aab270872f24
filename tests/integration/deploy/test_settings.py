"""A wrong setting is told before anything is started."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from deploy import roles
from tests.support.parley_command import ParleyCommand


@pytest.mark.parametrize(
    ("name", "value"),
    [("PARLEY_LEASE_TTL", "soon"), ("PARLEY_VALKEY_MAXMEMORY", "12"), ("PARLEY_LOG_LEVEL", "loud")],
)
def test_a_wrong_setting_is_named_and_nothing_is_started(tmp_path: Path, name: str, value: str) -> None:
    parley = ParleyCommand(tmp_path / "data", {name: value})
    told = parley.run("up", "--port", "0", check=False)
    assert told.returncode == 2
    assert name in told.stderr
    assert value not in told.stderr
    assert parley.run("status", check=False).returncode == 4


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"PARLEY_ADMIN_KEY_FILE": "/nowhere/key"}, "PARLEY_ADMIN_KEY_FILE: /nowhere/key cannot be read"),
        (
            {"PARLEY_REDIS_URL_FILE": "/etc/hostname", "PARLEY_REDIS_URL": "redis://:the-password@redis"},
            "PARLEY_REDIS_URL and PARLEY_REDIS_URL_FILE are both set; keep one of them",
        ),
    ],
)
def test_a_file_that_holds_no_setting_is_named(tmp_path: Path, settings: dict[str, str], told: str) -> None:
    parley = ParleyCommand(tmp_path / "data", settings)
    done = parley.run("up", "--port", "0", check=False)
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())
    assert "the-password" not in done.stderr
    assert parley.run("status", check=False).returncode == 4


@pytest.mark.parametrize(
    "command",
    [roles.gateway(port=0), roles.worker(), roles.maintenance(), roles.migration(), roles.flower(port=0)],
    ids=lambda role: role.module,
)
def test_every_role_tells_a_wrong_setting_in_a_line(tmp_path: Path, command: roles.Role) -> None:
    (tmp_path / "empty").write_text("")
    variables = {"PARLEY_REDIS_URL_FILE": str(tmp_path / "empty"), "PARLEY_LEASE_TTL": "3"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    done = subprocess.run(
        command.command(), env={**environment, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode in (1, 2)
    assert f"PARLEY_REDIS_URL_FILE: {tmp_path}/empty is empty" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
