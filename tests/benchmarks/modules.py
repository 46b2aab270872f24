"""How long stages 1 and 2 take without scripts, and a long template's parse.

``python -m tests.benchmarks.modules [--json] [--rounds N]``; ends with 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
from time import perf_counter
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from shared.schemas.template import parse
from tests.benchmarks.percentiles import summary
from workers.chat.modules.module import Module, TurnModules
from workers.chat.modules.resolver import StagedModuleResolver
from workers.chat.modules.testing import InMemoryScriptRunner

MODULES = 50
TEMPLATE_SIZE = 100 * 1024  # bytes
#: What must hold, in milliseconds.
LIMITS = {
    "stages_1_and_2": {"p50": 2.0, "p99": 10.0},
    "parse_prose": {"p50": 10.0},
    "parse_references": {"p50": 10.0},
}


def fifty_modules() -> TurnModules:
    """Simple modules of a few hundred characters: some show others or values, some have triggers."""
    modules: dict[str, Module] = {}
    for at in range(MODULES):
        name = f"module_{at}"
        content = f"This is what module {at} has to say about the state of things. " * 5
        if at % 5 == 0:
            content += f" See @module_{at + 1} and ${{last_user_message}}."
        if at % 7 == 0:
            content += r" Write to someone\@example.org about ${module_name}."
        trigger = (
            ("weather|rain", r"\b(?:hello|good (?:morning|evening))\b")[at % 2] if at % 10 == 0 else None
        )
        modules[name] = Module(
            id=uuid5(NAMESPACE_OID, name),
            name=name,
            content=content,
            trigger_pattern=trigger,
            priority=at % 3,
        )
    template = "\n".join(f"## Part {at}\n@module_{at}" for at in range(MODULES))
    return TurnModules(template=template, modules=modules, user_message="Hello, will it rain in the evening?")


def long_template(piece: str) -> str:
    """A template of ``TEMPLATE_SIZE`` bytes out of many pieces that are not quite alike."""
    size, pieces = 0, []
    while size < TEMPLATE_SIZE:
        pieces.append(piece.format(len(pieces) % 300))
        size += len(pieces[-1])
    return "".join(pieces)[:TEMPLATE_SIZE]


PROSE = (
    "Some prose of a persona that goes on for a line or so, then @module_{} and a ${{value_{}}}.\n".replace(
        "value_{}", "value"
    )
)
REFERENCES = "@module_{} "


async def stages(rounds: int) -> list[float]:
    """Milliseconds of each resolution; every turn is a fresh one, as a worker has it."""
    resolver = StagedModuleResolver(InMemoryScriptRunner())
    turn = fifty_modules()
    times: list[float] = []
    for at in range(rounds + 20):
        begun = perf_counter()
        resolved = await resolver.resolve_template_stages_1_and_2(turn)
        if at >= 20:
            times.append((perf_counter() - begun) * 1000)
        assert len(resolved.modules) == MODULES
        assert not resolved.warnings
    return times


def parses(template: str, rounds: int) -> list[float]:
    """Milliseconds of each parse; nothing is taken from a cache."""
    times: list[float] = []
    for _ in range(rounds):
        begun = perf_counter()
        tree = parse(template)
        times.append((perf_counter() - begun) * 1000)
        assert tree.pieces
    return times


def measure(rounds: int) -> dict[str, Any]:
    """All figures, in milliseconds, and whether they keep their limits."""
    figures: dict[str, Any] = {"stages_1_and_2": summary(asyncio.run(stages(rounds)))}
    gc.collect()
    for name, piece in (("parse_prose", PROSE), ("parse_references", REFERENCES)):
        figures[name] = summary(parses(long_template(piece), max(rounds // 10, 10)))
    figures["missed"] = [
        f"{name} {part} {figures[name][part]} > {limit}"
        for name, limits in LIMITS.items()
        for part, limit in limits.items()
        if figures[name][part] > limit
    ]
    return figures


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--rounds", type=int, default=1000, help="resolutions (default 1000)")
    options = parser.parse_args()
    figures = measure(options.rounds)
    if options.json:
        print(json.dumps(figures))
    else:
        for name, limits in LIMITS.items():
            told = ", ".join(f"{part} {value}" for part, value in figures[name].items())
            print(f"{name}: {told} ms; limits: {limits}")
        for missed in figures["missed"]:
            print(f"missed: {missed}")
    return 1 if figures["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
