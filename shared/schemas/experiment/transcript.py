"""A run's steps as a transcript: JSON lines for programs, Markdown for people."""

# The names of a row's columns say what they are.
# ruff: noqa: D102

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Protocol


class StepRow(Protocol):
    """A step as it is stored; rows of the step log have these names."""

    @property
    def path(self) -> str: ...
    @property
    def phase(self) -> int: ...
    @property
    def round(self) -> int | None: ...
    @property
    def agent(self) -> str | None: ...
    @property
    def purpose(self) -> str: ...
    @property
    def tried(self) -> int | None: ...
    @property
    def kind(self) -> str: ...
    @property
    def role(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def system_prompt(self) -> str | None: ...
    @property
    def user_prompt(self) -> str | None: ...
    @property
    def outcome(self) -> str | None: ...
    @property
    def answer(self) -> str | None: ...
    @property
    def value(self) -> Any: ...
    @property
    def unreadable(self) -> str | None: ...
    @property
    def sends(self) -> int: ...
    @property
    def input_tokens(self) -> int | None: ...
    @property
    def output_tokens(self) -> int | None: ...
    @property
    def seconds(self) -> float | None: ...
    @property
    def started_at(self) -> datetime | None: ...
    @property
    def answered_at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptOptions:
    """What a transcript holds; the defaults of ``transcript_logging``.

    Attributes:
        memory_updates: calls that update a memory.
        instructions: system prompts.
        input_prompts: questions.
        agent_responses: answers, and what was read in them.
    """

    memory_updates: bool = False
    instructions: bool = False
    input_prompts: bool = True
    agent_responses: bool = True


DEFAULTS = TranscriptOptions()

#: What a call is for, by the first part of its purpose that is known.
_INTERACTIONS = {
    "vote/initiation": "vote_prompt",
    "vote/confirmation": "vote_confirmation",
    "reasoning": "internal_reasoning",
    "favoured": "favored_principle",
    "memory": "memory_update",
    "application": "demonstration",
}


def interaction(purpose: str) -> str:
    """The type of an interaction, such as ``statement``, ``vote_prompt``, ``ballot``."""
    if purpose.endswith("/failure"):
        return "failure_classification"
    for known, name in _INTERACTIONS.items():
        if purpose == known or purpose.startswith(f"{known}/"):
            return name
    return purpose.split("/", 1)[0]


def chosen(steps: Iterable[StepRow], options: TranscriptOptions = DEFAULTS) -> Iterator[StepRow]:
    """The steps that a transcript with these options holds, in their order."""
    return (step for step in steps if options.memory_updates or interaction(step.purpose) != "memory_update")


def json_lines(steps: Iterable[StepRow], options: TranscriptOptions = DEFAULTS) -> Iterator[str]:
    """A line of JSON for each step, with its line end, in the order of ``steps``."""
    for step in chosen(steps, options):
        yield json.dumps(entry(step, options), ensure_ascii=False, separators=(",", ":")) + "\n"


def entry(step: StepRow, options: TranscriptOptions = DEFAULTS) -> dict[str, Any]:
    """A step as an object; what the options leave out is not in it."""
    called = step.kind == "call"
    told: dict[str, Any] = {
        "path": step.path,
        "kind": step.kind,
        "phase": step.phase,
        "round": step.round,
        "participant": step.agent,
        "interaction_type": interaction(step.purpose) if called else step.purpose,
    }
    if not called:
        return {**told, "value": step.value}
    told |= {"try": step.tried, "asked": step.role or "utility_agent", "model": step.model}
    if options.instructions:
        told["instructions"] = step.system_prompt
    if options.input_prompts:
        told["prompt"] = step.user_prompt
    told |= {"outcome": step.outcome or "in_flight"}
    if options.agent_responses:
        told |= {"response": step.answer, "value": step.value, "unreadable": step.unreadable}
    return told | {
        "input_tokens": step.input_tokens,
        "output_tokens": step.output_tokens,
        "sends": step.sends,
        "duration_seconds": step.seconds,
        "started_at": _instant(step.started_at),
        "answered_at": _instant(step.answered_at),
    }


def markdown(
    steps: Iterable[StepRow], options: TranscriptOptions = DEFAULTS, *, title: str = "Transcript"
) -> Iterator[str]:
    """The transcript as Markdown, in pieces.

    Phase 1 is told agent by agent, phase 2 round by round, whatever the order of ``steps``; within these they
    keep it. What models wrote stands in fences that it cannot close.
    """
    yield f"# {_inline(title)}\n"
    ordered = sorted(chosen(steps, options), key=_place)
    for phase, in_phase in groupby(ordered, key=lambda step: step.phase):
        yield f"\n## Phase {phase}\n"
        for part, in_part in groupby(in_phase, key=_part):
            yield f"\n### {_inline(part)}\n"
            for step in in_part:
                yield _section(step, options)


def _place(step: StepRow) -> tuple[int, str, bool, int]:
    # Of phase 1 each agent's own way is what can be followed; the agents are at it at once.
    agent = (step.agent or "") if step.phase == 1 else ""
    return step.phase, agent, step.phase == 2 and step.round is None, (step.round or 0) * (step.phase == 2)


def _part(step: StepRow) -> str:
    if step.phase == 1:
        return step.agent or "Everybody"
    return f"Round {step.round}" if step.round is not None else "Results"


def _section(step: StepRow, options: TranscriptOptions) -> str:
    who = step.agent or "the group"
    where = f", round {step.round}" if step.phase == 1 and step.round is not None else ""
    head = f"\n#### {_inline(who)}: {_inline(step.purpose)}{where}\n\n"
    if step.kind != "call":
        label = "Drawn" if step.kind == "draw" else "Noted"
        return head + f"{label}: {_code(json.dumps(step.value, ensure_ascii=False))}\n"
    pieces = [head + _facts(step) + "\n"]
    if options.instructions and step.system_prompt:
        pieces.append("\nInstructions:\n\n" + _fence(step.system_prompt))
    if options.input_prompts and step.user_prompt:
        pieces.append("\nPrompt:\n\n" + _fence(step.user_prompt))
    if options.agent_responses:
        if step.answer:
            pieces.append("\nAnswer:\n\n" + _fence(step.answer))
        if step.unreadable is not None:
            pieces.append(f"\nNot readable: {_code(step.unreadable)}\n")
        elif step.value is not None and step.value != step.answer:
            pieces.append(f"\nRead as: {_code(json.dumps(step.value, ensure_ascii=False))}\n")
    return "".join(pieces)


def _facts(step: StepRow) -> str:
    facts = [step.model or step.role or "utility agent", step.outcome or "in flight"]
    if step.tried is not None and step.tried > 1:
        facts.append(f"try {step.tried}")
    if step.sends > 1:
        facts.append(f"sent {step.sends} times")
    if step.input_tokens is not None or step.output_tokens is not None:
        facts.append(f"{step.input_tokens or 0} + {step.output_tokens or 0} tokens")
    if step.seconds is not None:
        facts.append(f"{step.seconds:.2f} s")
    return f"*{_inline(', '.join(facts))}* {_code(step.path)}"


def _fence(text: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}text\n{text.rstrip(chr(10))}\n{marks}\n"


def _code(text: str) -> str:
    line = " ".join(text.split())
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    marks = "`" * (longest + 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{marks}{space}{line}{space}{marks}"


def _inline(text: str) -> str:
    """Text of a heading or a line; nothing in it is markup."""
    return re.sub(r"([\\`*_{}\[\]<>#|&~!])", r"\\\1", " ".join(text.split()))


def _instant(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
