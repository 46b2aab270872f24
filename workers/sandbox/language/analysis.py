"""What a script will do, read from its syntax tree: above all whether it calls a model."""

from __future__ import annotations

import ast
from dataclasses import asdict, dataclass
from typing import Any, Literal

from workers.sandbox.language.flow import called_functions

#: Functions of `ctx` that call a model.
AI_FUNCTIONS = frozenset({"generate", "reflect"})

_LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.comprehension)
_CONDITIONALS = (ast.If, ast.IfExp, ast.Match)


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the syntax tree tells of a script; see `ScriptAnalysis` for the same on the host's side."""

    requires_ai_inference: bool
    #: Functions of `ctx` that the script calls, sorted.
    functions: tuple[str, ...]
    #: Names of the modules that it runs by `ctx.run_module`, where the tree tells them, sorted.
    module_names: tuple[str, ...]
    imports: tuple[str, ...]
    #: Lines with something on them.
    lines: int
    has_loops: bool
    has_conditionals: bool
    complexity: Literal["low", "medium", "high"]

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}


def analyse(tree: ast.Module, source: str) -> Analysis:
    """Read a script's tree, as parsed, before the guards are put in."""
    calls = called_functions(tree)
    imports: set[str] = set()
    loops = conditionals = False
    call_count = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imports.add(node.module or "")
        elif isinstance(node, ast.Call):
            call_count += 1
        loops = loops or isinstance(node, _LOOPS)
        conditionals = conditionals or isinstance(node, _CONDITIONALS)
    lines = sum(1 for line in source.splitlines() if line.strip())
    score = _steps(lines, 5, 20, 50) + _steps(call_count, 2, 5, 10) + 2 * loops + conditionals
    return Analysis(
        requires_ai_inference=not AI_FUNCTIONS.isdisjoint(calls.functions),
        functions=tuple(sorted(calls.functions)),
        module_names=tuple(sorted(calls.module_names)),
        imports=tuple(sorted(imports)),
        lines=lines,
        has_loops=loops,
        has_conditionals=conditionals,
        complexity="high" if score >= 6 else "medium" if score >= 3 else "low",
    )


def _steps(value: int, *thresholds: int) -> int:
    return sum(value > threshold for threshold in thresholds)
