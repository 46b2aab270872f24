"""A composed installation is backed up and restored by the commands of the operations guide as they stand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from deploy.cli.api import ApiError
from tests.containers.installation import ROOT, Installation
from tests.containers.turns import Turns

#: What stands between the guide's ``docker compose`` and the project that is tested.
_DOCKER = """\
set -eu
docker() {
    shift
    if [ "$1" = up ]; then shift; set -- up --no-build --no-recreate --pull never "$@"; fi
    command %s "$@"
}
"""


def _blocks(guide: str) -> tuple[str, str]:
    """The lines that back up while everything runs, and those that restore."""
    section = guide.partition("*Compose*, with the Postgres that it brings")[2]
    dump, restore = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[:2]
    return dump.splitlines()[0], restore


def _run(installation: Installation, script: str, folder: Path) -> None:
    compose = shlex.join(installation.command())
    done = subprocess.run(
        ["bash", "-c", _DOCKER % compose + script],
        env=installation.environment | {"PATH": os.environ["PATH"]},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"


def test_what_was_backed_up_comes_back(installation: Installation, turns: Turns, tmp_path: Path) -> None:
    dump, restore = _blocks((ROOT / "docs/operations.md").read_text())
    assert "pg_dump" in dump
    assert "pg_restore" in restore
    turns.ask(tokens=5)
    turns.none_is_lost()

    _run(installation, dump, tmp_path)
    later = Turns(turns.user)
    late = later.ask(tokens=5)
    later.none_is_lost()
    _run(installation, restore, tmp_path)

    turns.ask(tokens=5)
    turns.none_is_lost()
    with pytest.raises(ApiError) as gone:
        turns.status(late)
    assert gone.value.status == 404
