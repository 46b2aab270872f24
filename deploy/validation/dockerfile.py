"""The Dockerfile, read by hadolint."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from deploy.validation.outcome import ROOT, Outcome, missing, ran


def binary() -> str | None:
    """Hadolint, as its package brings it or as it is installed otherwise."""
    beside = Path(sys.executable).with_name("hadolint")
    return str(beside) if beside.exists() else shutil.which("hadolint")


def check() -> list[Outcome]:
    """Whether each Dockerfile keeps the rules."""
    command = binary()
    outcomes = []
    for path in sorted((ROOT / "deploy/docker").glob("Dockerfile*")):
        what = f"{path.relative_to(ROOT)} (hadolint)"
        if command is None:
            outcomes.append(missing(what, "pip install 'parley[validate]'"))
        else:
            outcomes.append(ran(what, [command, path]))
    return outcomes
