"""How long stages 1 and 2 take without scripts, alone and in turns, and how long a long template is parsed.

``python -m tests.benchmarks.modules [--json] [--rounds N]`` measures it without a stack; it ends with 1 when
a limit is missed.
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

from shared import garbage
from shared.schemas.template import parse
from tests.benchmarks.percentiles import median, summary
from tests.benchmarks.personas import make_persona, stages
from tests.benchmarks.report import Report, Say, Target
from tests.benchmarks.scenarios import load, through_parley
from tests.benchmarks.stack import Stack
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

TOLD = {
    "stages_1_and_2": "50 modules, alone",
    "parse_prose": "100 KB of prose parsed",
    "parse_references": "100 KB of references parsed",
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
    size = 0
    pieces: list[str] = []
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


async def resolutions(rounds: int) -> list[float]:
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
    # As in a worker: what the process has loaded is no garbage to look through.
    garbage.settle()
    figures: dict[str, Any] = {"stages_1_and_2": summary(asyncio.run(resolutions(rounds)))}
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


def modules(stack: Stack, say: Say, runs: int, quick: bool) -> Report:
    """Alone: everything that stages 1 and 2 do. In turns: stage 1 as the worker's own clock has it."""
    report = Report("modules")
    turn = fifty_modules()
    made = (
        {
            "name": module.name,
            "content": module.content,
            "trigger_pattern": module.trigger_pattern,
            "priority": module.priority,
        }
        for module in turn.modules.values()
    )
    persona = make_persona(stack, "fifty modules", turn.template, made)
    for number in range(runs):
        run: dict[str, Any] = measure(200 if quick else 1000)
        for way, options in (("without", {}), ("with_50", {"persona_id": persona})):
            plan: dict[str, Any] = {"do": "streams", "count": 50 if quick else 100, "gap": 0.05, "tokens": 5}
            plan |= {"model": "fake/tokens=5,stamp=1", "jitter": 0.5, "timeout": 60, "sessions": True}
            result = load(stack, through_parley(stack, **plan, options=options, seed=number))
            traced = stages(stack, result.pop("sessions"))
            if options:
                result["stage_1_ms"] = summary([turn_[1]["duration_ms"] for turn_ in traced.values()])
                result["errors"] += sum(
                    len(turn_[1]["modules"]) != MODULES or 2 in turn_ for turn_ in traced.values()
                )
            run[way] = result
        report.runs.append(run)
        first = {way: run[way]["first_token_ms"] for way in ("without", "with_50")}
        say(
            f"{report.name}: run {number + 1} of {runs}, alone {run['stages_1_and_2']}, in turns "
            f"{run['with_50']['stage_1_ms']} ms | 100 KB parsed: prose {run['parse_prose']}, references "
            f"{run['parse_references']} ms | first token {first} ms"
        )
    for name, limits in LIMITS.items():
        for share, limit in limits.items():
            measured = median([run[name][share] for run in report.runs])
            report.targets.append(Target(f"{TOLD[name]} {share}", limit, measured))
    for share, limit in LIMITS["stages_1_and_2"].items():
        measured = median([run["with_50"]["stage_1_ms"].get(share, float("inf")) for run in report.runs])
        report.targets.append(Target(f"50 modules, in turns {share}", limit, measured))
    errors = sum(run[way]["errors"] for run in report.runs for way in ("without", "with_50"))
    report.targets.append(Target("errors", 0, errors, ""))
    return report


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
