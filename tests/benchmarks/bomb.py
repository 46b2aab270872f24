"""A hundred turns at once with five scripts each: what one turn's bomb does to all others.

Turns are measured without the bomb and with it in the same run, so that whatever the machine does beside hits
both. What counts is how long stage 1 took, as the turns' own traces have it.
"""

from __future__ import annotations

from typing import Any

from tests.benchmarks.percentiles import median, summary
from tests.benchmarks.personas import make_persona, stages
from tests.benchmarks.report import Report, Say, Target
from tests.benchmarks.scenarios import load, through_parley
from tests.benchmarks.stack import BenchmarkError, Stack

TURNS, SCRIPTS = 100, 5
#: Which of the turns has the bomb.
ODD = 20
#: What the others' 99th percentile may be, beside that without a bomb.
FACTOR = 1.5

#: Seven lines as people write them, two of them calls.
SCRIPT = """\
import random
now = ctx.get_current_time("%H:%M")
names = ["Ann", "Bob", "Cy"]
counts = {name: len(name) for name in names}
turns = ctx.get_variable("turns", 0) + 1
mood = "fine" if sum(counts.values()) > 5 else "low"
greeting = f"Hello {random.choice(names)}, you feel {mood} at {now} ({turns})"
"""
#: Each runs into a limit of its own.
BOMBS = {
    "computing": "while True:\n    pass\n",
    "memory": "found = []\nwhile True:\n    found.append('x' * 1_000_000)\n",
    "calls": "while True:\n    ctx.get_variable('x', 'y' * 1000)\n",
}


def _module(name: str, script: str) -> dict[str, Any]:
    return {"name": name, "type": "advanced", "script": script, "content": "${greeting}"}


def _template(*names: str) -> str:
    return "You are a friend.\n" + "\n".join(f"@{name}" for name in names)


def _personas(stack: Stack) -> dict[str, str]:
    """One without a bomb, and one for each kind of bomb."""
    names = [f"greeting_{at}" for at in range(SCRIPTS)]
    made = {"none": make_persona(stack, "calm", _template(*names), (_module(name, SCRIPT) for name in names))}
    for kind, script in BOMBS.items():
        bomb_ = f"bomb_{kind}"
        made[kind] = make_persona(stack, bomb_, _template(*names[1:], bomb_), [_module(bomb_, script)])
    return made


def bomb(stack: Stack, say: Say, runs: int, quick: bool) -> Report:
    """The 99th percentile of the other turns' stage 1, beside the one without a bomb."""
    report = Report("bomb-100x5")
    personas = _personas(stack)
    kinds = ["none", *BOMBS][: 2 if quick else None]
    # Code is compiled, and pools are filled, before anything counts.
    _turns(stack, personas["none"], None, 10)
    errors = 0
    for number in range(runs):
        run: dict[str, Any] = {}
        for kind in kinds:
            odd = None if kind == "none" else personas[kind]
            run[kind] = _turns(stack, personas["none"], odd, TURNS)
            errors += run[kind]["errors"]
            shown = {name: run[kind].get(name) for name in ("stage_1_ms", "script_ms", "bomb", "wall")}
            say(f"{report.name}: run {number + 1} of {runs}, bomb {kind}: {shown}")
        report.runs.append(run)
    calm = median([run["none"]["stage_1_ms"]["p99"] for run in report.runs])
    for kind in kinds[1:]:
        hit = median([run[kind]["stage_1_ms"]["p99"] for run in report.runs])
        what = f"other turns' stage 1 p99, bomb of {kind} ({FACTOR:g} × {calm:g} without)"
        report.targets.append(Target(what, round(calm * FACTOR, 3), hit))
    report.targets.append(Target("errors", 0, errors, ""))
    return report


def _turns(stack: Stack, persona: str, odd: str | None, count: int) -> dict[str, Any]:
    """``count`` turns at once, one of them of the persona ``odd``; how the others went."""
    plan: dict[str, Any] = {"do": "streams", "count": count, "tokens": 5, "model": "fake/tokens=5,stamp=1"}
    plan |= {"gap": 0.0, "timeout": 60, "sessions": True, "options": {"persona_id": persona}}
    if odd is not None:
        plan["odd"] = {"index": ODD, "options": {"persona_id": odd}}
    result = load(stack, through_parley(stack, **plan))
    sessions = result.pop("sessions")
    traced = stages(stack, sessions)
    if len(traced) < count:
        raise BenchmarkError(f"{count - len(traced)} turns left no trace ({result['faults']})")
    others = [traced[session][1] for at, session in enumerate(sessions) if odd is None or at != ODD]
    modules = [module for stage in others for module in stage["modules"]]
    failed = [module for module in modules if module["error"] or module["skipped"]]
    result["errors"] += len(failed)
    result["stage_1_ms"] = summary([stage["duration_ms"] for stage in others])
    result["script_ms"] = summary([module["duration_ms"] for module in modules])
    if odd is not None:
        stage = traced[sessions[ODD]][1]
        ended = [module["error"] for module in stage["modules"] if module["error"]]
        if len(ended) != 1:
            raise BenchmarkError(f"the bomb did not run into a limit: {ended}")
        result["bomb"] = {"stage_1_ms": stage["duration_ms"], "ended_by": ended[0]["type"]}
    return result
