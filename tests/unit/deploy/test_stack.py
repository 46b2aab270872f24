"""What the one-machine stack tells its processes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from deploy.local.errors import LocalStackError, PortTakenError, WrongSettingError
from deploy.local.options import StackOptions
from deploy.local.stack import build

ELSEWHERE = {
    "PARLEY_DATABASE_URL": "postgresql+psycopg://db.example/parley",
    "PARLEY_REDIS_URL": "redis://redis.example",
}


@pytest.mark.parametrize(
    ("host", "given", "said"),
    [
        ("127.0.0.1", {}, "allow"),
        ("127.0.0.1", {"PARLEY_OUTBOUND_PRIVATE": "deny"}, "deny"),
        # Who is on another machine is told by the default.
        ("0.0.0.0", {}, None),
    ],
)
def test_private_addresses_are_for_all_who_are_on_this_machine(
    tmp_path: Path, host: str, given: dict[str, str], said: str | None
) -> None:
    options = StackOptions(data_dir=tmp_path, host=host, port=0, workers=1, local_model=False)
    options.data.root.mkdir(exist_ok=True)
    stack = build(options, {**ELSEWHERE, **given})
    try:
        assert stack.environment.get("PARLEY_OUTBOUND_PRIVATE") == said
    finally:
        stack.close()


def test_a_server_that_a_file_names_is_somebody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "PARLEY_DATABASE_URL": "postgresql+psycopg://me:secret@db.example/parley",
        "PARLEY_REDIS_URL": "redis://:secret@redis.example",
        "PARLEY_ADMIN_KEY": "the-key-of-the-operator",
    }
    given = {}
    for name, value in files.items():
        (tmp_path / name).write_text(value + "\n")
        given[f"{name}_FILE"] = str(tmp_path / name)
        monkeypatch.setenv(f"{name}_FILE", given[f"{name}_FILE"])
    options = StackOptions(data_dir=tmp_path / "data", port=0, workers=1, local_model=False)
    options.data.root.mkdir()
    stack = build(options, given)
    try:
        assert (stack.postgres, stack.valkey) == (None, None)
        assert {name: stack.environment[name] for name in files} == files
        # Its processes would refuse what is given twice.
        assert not set(given) & set(stack.environment)
        assert not [part for part in stack.elsewhere if "secret" in part.address]
    finally:
        stack.close()


def test_each_process_tells_its_metrics_on_a_port_of_its_own(tmp_path: Path) -> None:
    first = free_ports(3)
    options = StackOptions(
        data_dir=tmp_path, port=0, workers=2, local_model=False, metrics_port=first, flower=False
    )
    options.data.root.mkdir(exist_ok=True)
    stack = build(options, ELSEWHERE)
    try:
        told = {part.name: part._environment.get("PARLEY_METRICS_LISTEN") for part in stack.services}  # type: ignore[attr-defined]
        assert told == {
            "gateway": f"127.0.0.1:{first}",
            "worker-1": f"127.0.0.1:{first + 1}",
            "worker-2": f"127.0.0.1:{first + 2}",
        }
    finally:
        stack.close()


def test_without_a_port_nobody_listens(tmp_path: Path) -> None:
    options = StackOptions(data_dir=tmp_path, port=0, workers=1, local_model=False)
    options.data.root.mkdir(exist_ok=True)
    stack = build(options, ELSEWHERE)
    try:
        for part in stack.services:
            assert "PARLEY_METRICS_LISTEN" not in part._environment  # type: ignore[attr-defined]
    finally:
        stack.close()


def test_one_address_for_all_processes_is_refused_with_the_option_that_is_meant(tmp_path: Path) -> None:
    options = StackOptions(data_dir=tmp_path, port=0, workers=1, local_model=False)
    with pytest.raises(
        WrongSettingError, match=r"PARLEY_METRICS_LISTEN=127\.0\.0\.1:9464 .*--metrics-port PORT"
    ):
        build(options, {**ELSEWHERE, "PARLEY_METRICS_LISTEN": "127.0.0.1:9464"})


def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path) -> None:
    first = free_ports(2)
    options = StackOptions(data_dir=tmp_path, port=0, workers=1, local_model=False, metrics_port=first)
    options.data.root.mkdir(exist_ok=True)
    with (
        socket.create_server(("127.0.0.1", first + 1)),
        pytest.raises(PortTakenError, match=f"{first + 1}.*--metrics-port"),
    ):
        build(options, ELSEWHERE)


def test_so_many_ports_must_be_there(tmp_path: Path) -> None:
    options = StackOptions(data_dir=tmp_path, port=0, workers=10, local_model=False, metrics_port=65530)
    options.data.root.mkdir(exist_ok=True)
    with pytest.raises(LocalStackError, match="--metrics-port 65530 leaves no ports for 10 workers"):
        build(options, ELSEWHERE)


def free_ports(many: int) -> int:
    """The first of so many ports in a row that nobody has at the moment."""
    for first in range(20_000, 30_000, many):
        try:
            for port in range(first, first + many):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return first
    raise AssertionError("there are no free ports")
