"""What spans hold is written down: an attribute that nobody decided on does not leave."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[3]
_SOURCES = ("gateway", "shared", "workers")
_ATTRIBUTE = re.compile(r"(parley|gen_ai|http|error)(\.[a-z_]+)+")


def attributes() -> Iterator[str]:
    """Everything in the code that reads like an attribute of a span, where spans are made."""
    for folder in _SOURCES:
        for path in (_ROOT / folder).rglob("*.py"):
            source = path.read_text()
            if "tracing" not in source and "span" not in source:
                continue
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Dict):
                    for key in node.keys:
                        if isinstance(key, ast.Constant) and _ATTRIBUTE.fullmatch(str(key.value)):
                            yield str(key.value)


def test_every_attribute_is_documented_and_nothing_else_is() -> None:
    told = set(re.findall(r"`([a-z_.]+)`", (_ROOT / "docs" / "tracing.md").read_text()))
    documented = {name for name in told if _ATTRIBUTE.fullmatch(name)}
    made = {*attributes(), "error.type"}
    assert len(made) > 20
    assert documented == made
