"""``parley up --flower``: Flower beside the stack of one machine, with a password that lies in its data."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Iterator

import httpx
import pytest

from deploy.exit_codes import ExitCode
from deploy.local.listener import listen
from tests.support.parley_command import ParleyCommand
from tests.support.servers import backend, server_directory

#: Whole stacks come and go: a command of its own runs these tests.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(backend() != "embedded", reason="the stack starts its own servers"),
]

UP = (
    "up",
    "--port",
    "0",
    "--workers",
    "1",
    "--concurrency",
    "20",
    "--no-local-model",
    "--detach",
    "--flower",
)
_PATIENCE = 60.0  # seconds


@pytest.fixture(scope="module")
def parley() -> Iterator[ParleyCommand]:
    """A stack with Flower."""
    with server_directory() as root:
        command = ParleyCommand(root / "data")
        command.run(*UP, "--flower-port", "0")
        yield command
        command.run("down")
        assert command.processes() == []


def test_it_is_told_where_it_is_and_how_to_log_in(parley: ParleyCommand) -> None:
    flower = parley.part("flower")
    assert flower["health"] == "ready"
    assert flower["address"].startswith("http://127.0.0.1:")
    password = parley.data.flower_password
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    told = parley.run("status").stdout
    assert f"{flower['address']}  log in as admin with the password $(cat {password})" in told
    assert password.read_text().strip() not in told


def test_it_shows_the_workers_to_those_who_know_the_password(parley: ParleyCommand) -> None:
    address = parley.part("flower")["address"]
    password = parley.data.flower_password.read_text().strip()
    with httpx.Client(base_url=address, timeout=_PATIENCE) as http:
        assert http.get("/workers").status_code == 401
        assert http.get("/workers", auth=("admin", "guessed")).status_code == 401
        deadline = time.monotonic() + _PATIENCE
        while True:
            rows = http.get("/workers", params={"json": "1"}, auth=("admin", password)).json()["data"]
            if [row["hostname"].partition("@")[0] for row in rows] == ["worker-1"]:
                break
            assert time.monotonic() < deadline, rows
            time.sleep(0.1)


def test_it_knows_no_secret_but_its_own(parley: ParleyCommand) -> None:
    pid = parley.part("flower")["pid"]
    with open(f"/proc/{pid}/environ", "rb") as file:
        held = {entry.partition(b"=")[0].decode() for entry in file.read().split(b"\0")}
    assert "PARLEY_FLOWER_PASSWORD" in held
    assert not held & {
        "PARLEY_ADMIN_KEY",
        "PARLEY_SECRET_KEY",
        "PARLEY_SECRET_KEY_FILE",
        "PARLEY_DATABASE_URL",
    }


def test_it_is_started_again_where_it_was(parley: ParleyCommand) -> None:
    before = parley.part("flower")
    os.kill(before["pid"], signal.SIGKILL)
    deadline = time.monotonic() + _PATIENCE
    while (now := parley.part("flower"))["pid"] in (before["pid"], None) or now["health"] != "ready":
        assert time.monotonic() < deadline, now
        time.sleep(0.1)
    assert now["address"] == before["address"]
    assert now["restarts"] == 1


def test_a_port_that_is_taken(parley: ParleyCommand) -> None:
    with listen("127.0.0.1", 0) as taken, server_directory() as root:
        other = ParleyCommand(root / "data")
        port = str(taken.getsockname()[1])
        refused = other.run(*UP, "--flower-port", port, check=False)
    assert refused.returncode == ExitCode.PORT_TAKEN
    assert f"127.0.0.1:{port}" in refused.stderr
    assert "--flower-port" in refused.stderr
