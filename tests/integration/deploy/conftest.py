"""Somebody with a small experiment, and the command that runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.parley_command import ParleyCommand
from tests.support.stack import Stack, StackUser

CONFIG = """\
seed: 7
agents:
  - {name: Ana, personality: You are kind., model: local, reasoning_enabled: false}
  - {name: Ben, personality: You are bold., model: local, reasoning_enabled: false}
utility_agent_model: local
memory_update_threshold: minimal
phase2_rounds: 2
"""


@pytest.fixture
def ann(stack: Stack) -> StackUser:
    """Somebody whose agents agree at once."""
    user = stack.user()
    user.connect(model="fake/agents=agree")
    return user


@pytest.fixture
def parley(ann: StackUser, tmp_path: Path) -> ParleyCommand:
    return ParleyCommand(tmp_path / "data", {"PARLEY_URL": ann.stack.url, "PARLEY_API_KEY": ann.key})


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "mine.yaml"
    file.write_text(CONFIG)
    return str(file)
