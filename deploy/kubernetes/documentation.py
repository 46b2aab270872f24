"""What the chart says of itself, written from values and settings: the README's table, the schema's settings.

``python -m deploy.kubernetes.documentation`` writes both, with ``--check`` it only compares.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.environment import groups
from deploy.generated import UndocumentedError, keep_current
from shared import settings_files
from shared.settings import Settings

CHART = Path(__file__).parent / "parley"
SETTINGS = Path(__file__).parents[2] / "shared/settings.py"

_BEGIN, _END = "<!-- values: begin -->", "<!-- values: end -->"
#: Settings that the chart makes out of other values.
_OWN = ("metrics_listen", "redis_tls_ca", "redis_tls_cert", "redis_tls_key", "broker_tls_", "secret_key_file")
#: Settings of a single machine.
_ELSEWHERE = ("data_dir", "local_model_", "valkey_maxmemory")
#: A secret that has a variable of its own for its file.
_KEPT = "secret_key"


@dataclass(frozen=True)
class Value:
    """One documented value.

    Attributes:
        key: its path, with dots.
        default: as JSON.
        meaning: the comment above it.
    """

    key: str
    default: str
    meaning: str


def values(source: str) -> list[Value]:
    """The values of ``values.yaml`` with the comments above them; a mapping with a comment is one value.

    Raises:
        UndocumentedError: a value has none.
    """
    lines = source.splitlines()
    root = yaml.compose(source)
    return [] if root is None else list(_walk(root, (), lines, yaml.safe_load(source)))


def _walk(node: yaml.Node, path: tuple[str, ...], lines: list[str], loaded: Any) -> Iterator[Value]:
    for key, child in node.value:
        here = (*path, key.value)
        meaning = _comment(lines, key.start_mark.line)
        default = loaded[key.value]
        nested = isinstance(child, yaml.MappingNode) and child.value and not child.flow_style
        if nested and (not meaning or key.value == "workers"):
            yield from _walk(child, here, lines, default)
            continue
        if not meaning:
            raise UndocumentedError(f"values.yaml: {'.'.join(here)} has no comment above it")
        yield Value(".".join(here), json.dumps(default, ensure_ascii=False), meaning)


def _comment(lines: list[str], line: int) -> str:
    said: list[str] = []
    for above in reversed(lines[:line]):
        text = above.strip()
        if not text.startswith("#"):
            break
        said.insert(0, text.lstrip("#").strip())
    return " ".join(said)


def table(source: str) -> str:
    """The README's table of values."""
    rows = ["| value | default | meaning |", "|---|---|---|"]
    for value in values(source):
        shown = value.default if len(value.default) <= 60 else "see `values.yaml`"
        default = shown if shown.startswith("see") else f"`{shown}`"
        cells = (f"`{value.key}`", default, value.meaning)
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows)


def readme(text: str, source: str) -> str:
    """The README ``text`` with its table renewed."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{table(source)}\n{_END}{after}"


def secret_names() -> list[str]:
    """Settings that may be among the chart's secrets."""
    names = {*settings_files.variables(Settings), _KEPT}
    return sorted(name for name in names if not name.startswith(_ELSEWHERE))


def setting_schemas(source: str) -> dict[str, Any]:
    """The JSON schema of each setting that ``settings`` of the chart takes."""
    meanings = {name: group.comment for group in groups(source) for name in group.names}
    secret = set(secret_names())
    found: dict[str, Any] = {}
    for name, made in sorted(Settings.model_json_schema()["properties"].items()):
        if name not in secret and not name.startswith(_OWN + _ELSEWHERE):
            kept = {key: part for key, part in made.items() if key not in ("title", "default")}
            found[name] = {"description": meanings[name].replace("``", "`"), **kept}
    return found


def schema(text: str, source: str) -> str:
    """The schema ``text`` of the values, with settings and secrets renewed."""
    whole = json.loads(text)
    properties = whole["properties"]
    properties["settings"]["properties"] = setting_schemas(source)
    names = secret_names()
    secrets = properties["secrets"]["properties"]
    secrets["keys"]["items"] = {"enum": names}
    secrets["values"]["properties"] = {name: {"type": "string"} for name in names}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str], chart: Path = CHART) -> int:
    """Write README and schema, or compare them with ``--check``; the exit status."""

    def texts() -> dict[Path, str]:
        defaults = (chart / "values.yaml").read_text(encoding="utf-8")
        page, rules = chart / "README.md", chart / "values.schema.json"
        return {
            page: readme(page.read_text(encoding="utf-8"), defaults),
            rules: schema(rules.read_text(encoding="utf-8"), SETTINGS.read_text(encoding="utf-8")),
        }

    return keep_current(arguments, "scripts/chart-docs", texts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
