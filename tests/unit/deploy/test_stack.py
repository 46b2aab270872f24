"""What the one-machine stack tells its processes."""

from __future__ import annotations

from pathlib import Path

import pytest

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
