"""``parley up`` keeps its promises: one stack, restarted parts, an orderly end, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from select import select
from typing import Any

import pytest

from deploy.cli.api import Api, ApiError
from deploy.exit_codes import ExitCode
from deploy.local.account import Account
from deploy.local.process import ProcessIdentity, wait_gone
from deploy.local.state import StackState
from tests.support.parley_command import ParleyCommand
from tests.support.servers import backend, server_directory

pytestmark = pytest.mark.skipif(backend() != "embedded", reason="the stack starts its own servers")

UP = ("up", "--port", "0", "--workers", "1", "--concurrency", "20")


def eventually(what: Callable[[], bool], timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


@pytest.fixture
def parley() -> Iterator[ParleyCommand]:
    """A data directory in which nothing runs, and whatever does in the end is stopped."""
    with server_directory() as root:
        command = ParleyCommand(root / "data")
        yield command
        command.run("down", check=False)
        assert command.processes() == []


@pytest.fixture(scope="module")
def running() -> Iterator[ParleyCommand]:
    """A stack without a model that the tests of this module share."""
    with server_directory() as root:
        command = ParleyCommand(root / "data")
        command.run(*UP, "--no-local-model", "--detach")
        yield command
        command.run("down")
        assert command.processes() == []


def call(parley: ParleyCommand, path: str) -> Any:
    return Api(parley.status()["url"], parley.data.admin_key.read_text().strip()).get(path)


def test_detach_returns_when_everything_is_ready(running: ParleyCommand) -> None:
    status = running.status()
    assert status["data_dir"] == str(running.data_dir)
    assert [part["name"] for part in status["parts"]] == ["valkey", "postgres", "gateway", "worker-1"]
    for part in status["parts"]:
        assert part.keys() >= {"name", "version", "pid", "health", "address"}
        assert part["health"] == "ready"
        assert ProcessIdentity.of(part["pid"]) is not None
    assert call(running, "/health/ready")["status"] == "ready"


def test_the_admin_key_opens_it_and_is_the_owners(running: ParleyCommand) -> None:
    assert call(running, "/api/users/me")["is_admin"] is True
    for path in (
        running.data.admin_key,
        running.data.secret_key,
        running.data.state,
        *running.data.logs.iterdir(),
    ):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_no_standard_port_is_taken(running: ParleyCommand) -> None:
    addresses = {part["name"]: part["address"] for part in running.status()["parts"]}
    assert addresses["valkey"].startswith("unix://")
    assert addresses["postgres"].startswith("unix://")
    assert addresses["gateway"].startswith("http://127.0.0.1:")


def test_a_second_one_says_so_and_stops(running: ParleyCommand) -> None:
    before = running.status()
    for arguments in ((*UP, "--detach"), UP):
        second = running.run(*arguments, check=False)
        assert second.returncode == ExitCode.ALREADY_RUNNING
        assert "already runs" in second.stderr
    assert running.status() == before


def test_users_and_keys_come_and_go(running: ParleyCommand) -> None:
    made = json.loads(running.run("users", "add", "ann", "--json").stdout)
    ann = ParleyCommand(
        running.data_dir, {"PARLEY_API_KEY": made["key"], "PARLEY_URL": running.status()["url"]}
    )
    assert ann.run("users", "list", check=False).returncode == ExitCode.UNAUTHORIZED
    second = json.loads(running.run("keys", "create", "ann", "--name", "laptop", "--json").stdout)
    listed = running.run("keys", "list", "ann").stdout
    assert second["prefix"] in listed
    assert second["key"] not in listed
    running.run("keys", "revoke", second["id"])
    keys = {key["name"]: key for key in json.loads(running.run("keys", "list", "ann", "--json").stdout)}
    assert keys["laptop"]["revoked_at"] is not None
    running.run("users", "disable", "ann")
    refused = ann.run("keys", "list", "ann", check=False)
    assert refused.returncode == ExitCode.UNAUTHORIZED
    assert "disabled" in running.run("users", "list").stdout
    taken = running.run("users", "add", "ann", check=False)
    assert taken.returncode == ExitCode.FAILED
    assert "name" in taken.stderr


@pytest.mark.parametrize("name", ["valkey", "postgres", "gateway", "worker-1"])
def test_a_part_that_dies_is_started_again_with_a_word(running: ParleyCommand, name: str) -> None:
    before = running.part(name)
    os.kill(before["pid"], signal.SIGKILL)

    def back() -> bool:
        now = running.part(name)
        return bool(now["health"] == "ready" and now["pid"] != before["pid"])

    eventually(back)
    assert running.part(name)["restarts"] == before["restarts"] + 1
    said = running.run("logs", "supervisor", "-n", "1000").stdout
    assert f"{name} was killed by SIGKILL" in said
    assert f"{name} is back" in said

    def serves() -> bool:
        try:
            return bool(call(running, "/api/users/me")["name"] == "admin")
        except ApiError as error:
            if error.status == 503:  # connections to the server that died
                return False
            raise

    eventually(serves)


def test_logs_are_printed_and_an_unknown_part_is_named(running: ParleyCommand) -> None:
    assert "Application startup complete" in running.run("logs", "gateway").stdout
    everything = running.run("logs", "-n", "1").stdout.splitlines()
    assert {line.split()[0] for line in everything} >= {"gateway", "postgres", "valkey", "worker-1"}
    unknown = running.run("logs", "nothing", check=False)
    assert unknown.returncode == ExitCode.FAILED
    assert "worker-1" in unknown.stderr


def test_following_a_log_prints_what_comes(running: ParleyCommand) -> None:
    following = running.start("logs", "gateway", "-n", "0", "-f")
    assert following.stdout is not None
    try:
        with running.data.log("gateway").open("a") as log:
            deadline = time.monotonic() + 30
            # When it has looked for the first time is not to be seen, so it is told until it says so.
            while not select([following.stdout], [], [], 0.1)[0]:
                assert time.monotonic() < deadline
                log.write("a line of this test\n")
                log.flush()
        assert following.stdout.readline() == "a line of this test\n"
    finally:
        following.kill()
        following.wait()
        following.stdout.close()


@pytest.mark.slow  # two stacks, and three backups
def test_a_backup_of_a_running_stack_restores_elsewhere(running: ParleyCommand, tmp_path: Path) -> None:
    running.run("users", "add", "kept", "--no-key")
    archive = tmp_path / "parley.backup"
    running.run("backup", str(archive))
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    running.run("users", "add", "too-late", "--no-key")
    assert running.run("backup", str(archive), check=False).returncode == ExitCode.EXISTS
    refused = running.run("restore", "--force", str(archive), check=False)
    assert refused.returncode == ExitCode.ALREADY_RUNNING
    with server_directory() as root:
        other = ParleyCommand(root / "other")
        other.run("restore", str(archive))
        assert other.data.secret_key.read_text() == running.data.secret_key.read_text()
        assert other.run("restore", str(archive), check=False).returncode == ExitCode.EXISTS
        stopped = tmp_path / "stopped.backup"
        other.run("backup", str(stopped))
        (other.data.valkey / "stale").write_text("")
        other.run("restore", "--force", str(stopped))
        assert not (other.data.valkey / "stale").exists()
        try:
            other.run(*UP, "--no-local-model", "--detach")
            names = {user["name"] for user in json.loads(other.run("users", "list", "--json").stdout)}
            assert "kept" in names
            assert "too-late" not in names
            assert call(other, "/api/users/me")["name"] == "admin"
        finally:
            other.run("down", check=False)
        assert other.processes() == []


def test_what_is_no_backup_changes_nothing(parley: ParleyCommand, tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"junk" * 1000)
    sqlite3.connect(tmp_path / "other.db").close()
    for name in ("junk", "other.db", "none"):
        refused = parley.run("restore", str(tmp_path / name), check=False)
        assert refused.returncode == ExitCode.FAILED, refused.stderr
        assert name in refused.stderr
    assert not parley.data.postgres.exists()
    assert "no embedded database" in parley.run("backup", str(tmp_path / "b"), check=False).stderr
    assert not (tmp_path / "b").exists()


def test_ctrl_c_ends_everything_in_order_and_data_survives(parley: ParleyCommand) -> None:
    process = parley.start(*UP, "--no-local-model")
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if "stop   Ctrl-C" in line:
            break
    assert f"data   {parley.data_dir}" in said
    assert f"$(cat {parley.data.admin_key})" in said
    assert "curl" in said
    parley.run("users", "add", "survivor", "--no-key")
    started = [part["pid"] for part in parley.status()["parts"]]
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(30) == 0
    process.stdout.close()
    assert time.monotonic() - began < 10
    assert "killed" not in rest
    assert [pid for pid in started if ProcessIdentity.of(pid)] == []
    assert parley.processes() == []
    assert parley.run("status", check=False).returncode == ExitCode.NOT_RUNNING
    assert parley.run("down", check=False).returncode == ExitCode.NOT_RUNNING
    assert "database system is shut down" in parley.data.log("postgres").read_text()
    parley.run(*UP, "--no-local-model", "--detach")
    assert "survivor" in parley.run("users", "list").stdout


def test_a_killed_supervisor_leaves_nothing_that_the_next_one_cannot_clean_up(parley: ParleyCommand) -> None:
    parley.run(*UP, "--no-local-model", "--detach")
    supervisor = parley.supervisor()
    left = [ProcessIdentity(part["pid"], "") for part in parley.status()["parts"]]
    os.kill(supervisor.pid, signal.SIGKILL)
    assert wait_gone([supervisor], 10)
    assert parley.run("status", check=False).returncode == ExitCode.NOT_RUNNING
    parley.run(*UP, "--no-local-model", "--detach")
    state = StackState.load(parley.data.state)
    assert state is not None
    assert state.supervisor != supervisor
    now = {part["pid"] for part in parley.status()["parts"]}
    assert now.isdisjoint(old.pid for old in left)
    assert all(ProcessIdentity.of(old.pid) is None for old in left)
    assert call(parley, "/api/users/me")["name"] == "admin"


def test_down_cleans_up_after_a_killed_supervisor(parley: ParleyCommand) -> None:
    parley.run(*UP, "--no-local-model", "--detach")
    supervisor = parley.supervisor()
    os.kill(supervisor.pid, signal.SIGKILL)
    assert wait_gone([supervisor], 10)
    parley.run("down")
    assert parley.processes() == []
    assert not parley.data.state.exists()


def test_a_part_that_cannot_start_ends_the_start_with_its_reason(parley: ParleyCommand) -> None:
    parley.environment["PARLEY_ADMIN_KEY"] = "too short"
    failed = parley.run(*UP, "--no-local-model", "--detach", check=False)
    assert failed.returncode == ExitCode.FAILED
    assert "PARLEY_ADMIN_KEY" in failed.stderr
    assert "Traceback" not in failed.stdout
    assert parley.processes() == []


def test_the_operators_admin_key_is_used_and_not_stored(parley: ParleyCommand) -> None:
    parley.environment["PARLEY_ADMIN_KEY"] = "an-operators-own-key-1"
    parley.run(*UP, "--no-local-model", "--detach")
    assert "admin" in parley.run("users", "list").stdout
    assert not parley.data.admin_key.exists()


def test_a_taken_port_is_told_with_the_remedy(parley: ParleyCommand, running: ParleyCommand) -> None:
    port = running.status()["url"].rpartition(":")[2]
    for arguments in (("--detach",), ()):
        refused = parley.run("up", "--port", port, "--no-local-model", *arguments, check=False)
        assert refused.returncode == ExitCode.PORT_TAKEN
        assert "--port" in refused.stderr
    assert parley.processes() == []


def test_servers_of_somebody_else_are_used_and_not_started(
    parley: ParleyCommand, postgres_url: str, redis_url: str
) -> None:
    parley.environment |= {"PARLEY_DATABASE_URL": postgres_url, "PARLEY_REDIS_URL": redis_url}
    parley.run(*UP, "--no-local-model", "--detach")
    parts = {part["name"]: part for part in parley.status()["parts"]}
    assert parts["postgres"]["health"] == parts["valkey"]["health"] == "external"
    assert parts["postgres"]["pid"] is None
    assert not parley.data.postgres.exists()
    assert call(parley, "/api/users/me")["name"] == "admin"


def test_servers_and_keys_may_be_named_by_files(
    parley: ParleyCommand, postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    secrets = {"DATABASE_URL": postgres_url, "REDIS_URL": redis_url, "ADMIN_KEY": "an-operators-own-key-2"}
    for name, value in secrets.items():
        (tmp_path / name).write_text(f"{value}\n")
        parley.environment[f"PARLEY_{name}_FILE"] = str(tmp_path / name)
    started = parley.run(*UP, "--no-local-model", "--detach")
    assert f"$(cat {tmp_path}/ADMIN_KEY)" in started.stdout + started.stderr
    parts = {part["name"]: part for part in parley.status()["parts"]}
    assert parts["postgres"]["health"] == parts["valkey"]["health"] == "external"
    assert "admin" in parley.run("users", "list").stdout
    assert not parley.data.admin_key.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="root lends Postgres an account, which must reach its data")
def test_root_is_told_when_the_data_is_out_of_the_accounts_reach(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    parley = ParleyCommand(tmp_path / "closed" / "data")
    refused = parley.run(*UP, "--no-local-model", "--detach", check=False)
    assert refused.returncode == ExitCode.FAILED
    assert "--data-dir" in refused.stderr
    assert stat.S_IMODE((tmp_path / "closed").stat().st_mode) == 0o700
    assert parley.processes() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="a normal user runs the other tests as a normal user")
def test_it_runs_as_a_normal_user_too() -> None:
    with server_directory() as root:
        home = root / "home"
        home.mkdir(mode=0o700)
        os.chown(home, 65534, 65534)
        nobody = Account("nobody", 65534, 65534)
        if not nobody.can_run(Path(sys.executable)):
            pytest.skip("this Python lies where a normal user cannot go")
        parley = ParleyCommand(home / "data", {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}, nobody)
        try:
            parley.run(*UP, "--no-local-model", "--detach")
            assert "admin" in parley.run("users", "list").stdout
            assert {path.stat().st_uid for path in parley.data_dir.iterdir()} == {65534}
        finally:
            parley.run("down", check=False)
        assert parley.processes() == []
