"""What runs is written down, for those who ask and for the next start."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from deploy.local.directories import DataDir
from deploy.local.lock import StackLock
from deploy.local.process import Child, ProcessIdentity
from deploy.local.state import Health, PartState, StackState, end_leftovers, running_stack


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    made = DataDir(tmp_path / "data")
    made.create()
    return made


def a_state(data: DataDir, *parts: PartState) -> StackState:
    me = ProcessIdentity.of(os.getpid())
    assert me is not None
    return StackState("http://127.0.0.1:1", str(data.root), me, "1.2.3", parts=list(parts))


def test_it_is_read_as_it_was_written(data: DataDir) -> None:
    state = a_state(data, PartState("valkey", "9", "unix:///s", Health.READY, 17, "mark", restarts=2))
    state.save(data.state)
    assert StackState.load(data.state) == state
    assert stat.S_IMODE(data.state.stat().st_mode) == 0o600
    assert [path.name for path in data.run.iterdir()] == ["state.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"format": 999}', '{"format": 1, "parts": 3}', "null"]
)
def test_a_file_that_makes_no_sense_is_no_state(data: DataDir, text: str) -> None:
    data.state.write_text(text)
    assert StackState.load(data.state) is None


def test_it_counts_only_while_its_supervisor_lives(data: DataDir) -> None:
    a_state(data).save(data.state)
    assert running_stack(data) is None
    with StackLock(data.lock):
        assert running_stack(data) is not None


def test_what_is_shown_names_each_part(data: DataDir) -> None:
    shown = a_state(data, PartState("gateway", "1", "http://x", Health.READY, 5, "m")).public()
    assert json.loads(json.dumps(shown)) == {
        "url": "http://127.0.0.1:1",
        "data_dir": str(data.root),
        "parts": [
            {
                "name": "gateway",
                "version": "1",
                "pid": 5,
                "health": "ready",
                "address": "http://x",
                "restarts": 0,
            }
        ],
    }


def test_leftovers_are_ended_and_others_left_alone(data: DataDir) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    left, stranger = Child.spawn(sleep, name="left"), Child.spawn(sleep, name="stranger")
    a_state(
        data,
        PartState("worker-1", "", "", Health.READY, left.pid, left.identity.started),
        PartState("worker-2", "", "", Health.READY, stranger.pid, "of another process"),
        PartState("elsewhere", "", "", Health.EXTERNAL),
    ).save(data.state)
    told: list[str] = []
    assert end_leftovers(data, told.append) == 1
    assert "worker-1" in told[0]
    assert left.reap() != 0
    assert stranger.running()
    assert not data.state.exists()
    stranger.end()
