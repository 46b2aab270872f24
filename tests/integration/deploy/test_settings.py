"""A wrong setting is told before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

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
