"""``.env.example``: every setting with its default and meaning, written from the settings themselves.

``python -m deploy.environment`` writes it, with ``--check`` it only compares.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from deploy.generated import UndocumentedError, keep_current
from shared import settings_files
from shared.settings import Settings

ROOT = Path(__file__).parents[1]
FILE = Path(".env.example")
WIDTH = 100

_SECTION = re.compile(r"^\s*# (.+?) -{3,}$")

_INTRODUCTION = """\
# Written by scripts/env-example from shared/settings.py; change the settings and run it again.
#
# Every setting of Parley with its default. Copy this file to .env and take the # away from what is to differ.
# docker compose reads .env by itself; for anything else: set -a; . ./.env; set +a
# What may be secret can stand in a file that PARLEY_…_FILE names. docker-compose.yml names the files of
# deploy/docker/secrets: addresses, keys and passwords that it knows belong there, and not here. Servers of
# your own in containers: docs/external-services.md.
"""

#: What docker-compose.yml asks for besides settings: the default stands there.
COMPOSE = {
    "PARLEY_IMAGE": "The image of all of Parley's own services.",
    "SECRETS_DIR": "The folder that scripts/compose-secrets wrote to.",
    "GATEWAY_PUBLISH": "Address and port on which the gateway is published.",
    "GATEWAY_CPUS": "Cores of the gateway.",
    "GATEWAY_MEMORY": "Its memory.",
    "WORKER_CHAT_REPLICAS": "Worker processes for turns: `docker compose up -d --no-recreate` starts what "
    "is added.",
    "WORKER_EXPERIMENT_REPLICAS": "Worker processes for experiments.",
    "WORKER_CPUS": "Cores of each worker: one for its event loop, others for scripts; at most all there are.",
    "WORKER_CHAT_MEMORY": "Memory of each worker for turns: 1 GB, and (PARLEY_SCRIPT_PROCESSES + "
    "PARLEY_SCRIPT_RESERVED) times PARLEY_SCRIPT_MEMORY.",
    "WORKER_EXPERIMENT_MEMORY": "Memory of each worker for experiments, which run no scripts.",
    "WORKER_STOP_GRACE": "How long a worker may take to stop: some 20 s more than PARLEY_DRAIN_GRACE.",
    "REDIS_MAXMEMORY": "Memory that Redis may fill.",
    "REDIS_MEMORY": "Memory of its container: more than twice as much, or the kernel ends Redis while it "
    "rewrites its log.",
    "POSTGRES_CPUS": "Cores of Postgres; at most all there are.",
    "POSTGRES_MEMORY": "Its memory.",
    "OLLAMA_MEMORY": "Memory of Ollama.",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "Where traces go, if PARLEY_TRACING says so.",
}


@dataclass
class Group:
    """Settings that share one comment.

    Attributes:
        section: the heading that they stand under.
        comment: what they mean.
        names: of the settings.
    """

    section: str
    comment: str
    names: list[str] = field(default_factory=list)


def groups(source: str) -> list[Group]:
    """The settings in the order of their source, with the ``#:`` comments before them.

    A setting without a comment shares that of the one before it.

    Raises:
        UndocumentedError: there is none before it, either.
    """
    lines = source.splitlines()
    (settings,) = (
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name == Settings.__name__
    )
    found: list[Group] = []
    section, shared, end = "", False, settings.lineno
    for node in settings.body:
        before, end = lines[end : node.lineno - 1], node.end_lineno or node.lineno
        for line in before:
            if heading := _SECTION.match(line):
                section, shared = heading.group(1), False
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        name = node.target.id
        said = [line.strip().removeprefix("#:").strip() for line in before if line.strip().startswith("#:")]
        if said:
            found.append(Group(section, " ".join(said)))
        elif not shared:
            raise UndocumentedError(f"shared/settings.py: the setting {name} has no #: comment")
        shared = True
        found[-1].names.append(name)
    return found


def default_of(setting: FieldInfo) -> str:
    """The default as it is written in an environment; empty where there is none."""
    value: Any = setting.get_default(call_default_factory=True)
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, (tuple, list, set, frozenset)):
        return ",".join(str(item) for item in value)
    return str(value)


def example(source: str, compose: str) -> str:
    """The whole file."""
    parts, section = [_INTRODUCTION], ""
    in_files = settings_files.variables(Settings)
    for group in groups(source):
        if group.section != section:
            section = group.section
            parts.append(f"\n# {section} {'=' * max(3, WIDTH - 3 - len(section))}\n")
        text = group.comment.replace("``", "")
        lines = ["", *textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")]
        lines += [f"#PARLEY_{name.upper()}={default_of(Settings.model_fields[name])}" for name in group.names]
        lines += [f"#{in_files[name]}=" for name in group.names if name in in_files]
        parts.append("\n".join(lines) + "\n")
    parts.append(f"\n# docker-compose.yml {'=' * (WIDTH - 21)}\n")
    for name, meaning in COMPOSE.items():
        lines = ["", *textwrap.wrap(meaning, WIDTH, initial_indent="# ", subsequent_indent="# ")]
        parts.append("\n".join([*lines, f"#{name}={_compose_default(name, compose)}"]) + "\n")
    return "".join(parts)


def _compose_default(name: str, compose: str) -> str:
    found = re.search(r"\$\{" + name + r":-([^}]*)\}", compose)
    return found.group(1) if found else ""


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Write the file, or compare it with ``--check``; the exit status."""

    def texts() -> dict[Path, str]:
        source = (root / "shared/settings.py").read_text(encoding="utf-8")
        compose = (root / "docker-compose.yml").read_text(encoding="utf-8")
        return {root / FILE: example(source, compose)}

    return keep_current(arguments, "scripts/env-example", texts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
