"""The functions written down: the page for people, and the list that the gateway shows.

``python -m workers.sandbox.plugins.documentation`` writes both, with ``--check`` it only compares.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from workers.sandbox.plugins.registry import Category, FunctionInfo, ParameterInfo, plugin_registry

ROOT = Path(__file__).parents[3]
PAGE = Path("docs/plugin-functions.md")
#: The gateway cannot import the worker's code, and shows this.
LIST = Path("shared/schemas/plugin_functions.json")

HEADINGS: Mapping[Category, str] = {
    "time": "Time",
    "text": "Text and JSON",
    "messages": "Messages",
    "info": "Conversation and persona",
    "memory": "Memory",
    "ai": "Model calls",
    "state": "State and other modules",
    "log": "Log",
}

_INTRODUCTION = """\
<!-- Written by scripts/plugin-docs from the docstrings; change those and run it again. -->
# Plugin functions

What a module's script may call: `ctx.get_current_time()`, and so on. `generate(…)` and `reflect(…)` also work
without `ctx.`, and `await` before a call changes nothing. Arguments and results are JSON values; times are
UTC unless a timezone is given.

Values stand on `ctx`, too: `conversation_id`, `persona_id`, `module_name`, `module_id`, `stage`,
`stage_name`, `last_user_message`, `trigger_data`; after the answer `ai_response` and `response_metadata`.

- A script reads its own conversation, on the branch that is being answered. The newest user message is part
  of it, after the answer the reply too. Where a function takes a `conversation_id`, only the own one is
  accepted.
- A refused call raises an exception that says what is wrong with which argument: `TypeError`, `ValueError`,
  `LookupError`, `PermissionError`. A model call that brings no text raises `ctx.GenerationError`. Each can be
  caught.
- What is written (`set_variable`, `remember`, `store_memory`, `clear_memories`) is seen at once by the script
  that wrote it. It is kept when the script succeeds, and dropped when it fails.
"""


def page() -> str:
    """The page for people, in Markdown."""
    infos = plugin_registry().describe()
    parts = [_INTRODUCTION]
    for category in get_args(Category):
        parts.append(f"## {HEADINGS[category]}\n")
        parts += [_section(info) for info in infos if info.category == category]
    return "\n".join(parts)


def listing() -> str:
    """The list that the gateway shows, as JSON: ``GET /api/modules/plugin-functions``."""
    infos = plugin_registry().describe()
    functions = [asdict(info) for info in infos]
    return (
        json.dumps({"functions": functions, "total_count": len(infos)}, indent=1, ensure_ascii=False) + "\n"
    )


def outdated(root: Path = ROOT) -> list[Path]:
    """The files that differ from what would be written now."""
    written = ((PAGE, page()), (LIST, listing()))
    return [
        path
        for path, text in written
        if not (root / path).is_file() or (root / path).read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Write the files, or compare them with ``--check``; 1 when one differs, 2 for other arguments."""
    if arguments not in ([], ["--check"]):
        print("usage: scripts/plugin-docs [--check]", file=sys.stderr)
        return 2
    if arguments:
        different = outdated(root)
        for path in different:
            print(f"{path} is not current: run scripts/plugin-docs", file=sys.stderr)
        return 1 if different else 0
    for path, text in ((PAGE, page()), (LIST, listing())):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return 0


def _section(info: FunctionInfo) -> str:
    text = info.docstring.replace("``", "`")
    parts = [f"### {info.name}\n\n```python\n{info.signature}\n```\n\n{text}\n"]
    if info.parameters:
        parts.append(_table(info.parameters))
    return "\n".join(parts)


def _table(parameters: Iterable[ParameterInfo]) -> str:
    rows = ["| parameter | type | default |", "|---|---|---|"]
    for parameter in parameters:
        kind = parameter.type.replace("|", "\\|")
        many = parameter.name.startswith("*")
        default = "required" if parameter.required else "" if many else f"`{parameter.default!r}`"
        rows.append(f"| {parameter.name.replace('*', chr(92) + '*')} | {kind} | {default} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
