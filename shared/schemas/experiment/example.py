"""A configuration to start from: every key with its meaning, range and default, written from the schema."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.schemas.experiment.keys import Key, keys
from shared.schemas.experiment.schema import json_schema

#: What the example sets; a key without a value here is written as a comment, with its default.
_SET: Mapping[str, Any] = {
    "language": "English",
    "utility_agent_model": "local",
    "phase2_rounds": 5,
}

#: The example's agents; in the first of them the keys are explained.
_AGENTS: Sequence[Mapping[str, Any]] = (
    {
        "name": "Alice",
        "personality": "You are a nurse. You like to see a safety net under everybody, and you listen well.",
        "model": "local",
    },
    {
        "name": "Bob",
        "personality": "You run a small shop. You think that effort should pay, and you count every dollar.",
        "model": "local",
    },
    {
        "name": "Carol",
        "personality": "You teach mathematics. You want reasons before you change your mind.",
        "model": "local",
    },
)

#: Values for keys that have no default to show.
_SHOWN: Mapping[str, Any] = {
    "income_class_probabilities.high": 0.05,
    "income_class_probabilities.medium_high": 0.1,
    "income_class_probabilities.medium": 0.5,
    "income_class_probabilities.medium_low": 0.25,
    "income_class_probabilities.low": 0.1,
    "manipulator.name": "Bob",
}

#: Sections that are absent unless they are written, so that their name is a comment too.
_ABSENT = ("income_class_probabilities", "manipulator")

_WIDTH = 100
_HEADER = """\
A deliberation experiment. Check it with `parley experiment validate FILE`, start it with
`parley experiment run FILE`.

Every key is listed. Lines that begin with "# " explain; a line that begins with "#" and a key
shows its default: take the "#" away to set it.
"""


def example() -> str:
    """The text of a YAML file: valid as it is, and with any of its commented keys taken in."""
    lines = [f"# {line}".rstrip() for line in _HEADER.splitlines()]
    top = [key for key in keys() if "." not in key.path]
    for key in top:
        lines.append("")
        lines += _written(key)
    return "\n".join(lines) + "\n"


def _written(key: Key) -> Iterator[str]:
    yield from _comment(_told(key, given=key.path in _SET), "")
    if key.path == "agents":
        yield from _agents()
    elif key.section is None:
        yield _line(key, key.path in _SET, _SET.get(key.path, key.default), "")
    else:
        mark = "#" if key.path in _ABSENT else ""
        yield f"{mark}{key.name}:"
        for inner in _inside(key.path + "."):
            yield from _comment(_told(inner), "  ")
            yield _line(inner, False, _SHOWN.get(inner.path, inner.default), "  ")


def _agents() -> Iterator[str]:
    yield "agents:"
    inside = list(_inside("agents[]."))
    for number, agent in enumerate(_AGENTS):
        first = True
        for key in inside:
            given = key.name in agent
            if number == 0:
                yield from _comment(_told(key, given=given), "  " if first else "    ")
            elif not given:
                continue
            value = agent.get(key.name, key.default)
            yield _line(key, given, value, "  - " if first else "    ")
            first = False


def _inside(prefix: str) -> Iterator[Key]:
    return (key for key in keys() if key.path.startswith(prefix))


def _line(key: Key, given: bool, value: Any, indent: str) -> str:
    return f"{'' if given else '#'}{indent}{key.name}: {json.dumps(value, ensure_ascii=False)}"


def _told(key: Key, *, given: bool = False) -> str:
    told = [key.meaning]
    if key.name != "language":  # its meaning says it shorter
        told.append(_limits(_entry(key)))
    if given and not key.required:
        told.append(f"Default: {json.dumps(key.default, ensure_ascii=False)}.")
    return " ".join(part for part in told if part)


def _entry(key: Key) -> Mapping[str, Any]:
    """What the schema says of a key, looked up by its path."""
    schema = json_schema()
    section, _, name = key.path.rpartition(".")
    if not section:
        return dict(schema["properties"][name])
    owner = next(one.section for one in keys() if one.path == section.removesuffix("[]"))
    assert owner is not None
    return dict(schema["$defs"][owner.__name__]["properties"][name])


def _limits(entry: Mapping[str, Any]) -> str:
    """The range of a key in words; nothing for texts, switches and sections."""
    for form in entry.get("anyOf", [entry]):
        if form.get("type") in ("integer", "number"):
            return _between(form)
        if "enum" in form:
            return f"One of {', '.join(map(str, form['enum']))}."
    return ""


def _between(form: Mapping[str, Any]) -> str:
    low = form.get("minimum")
    over = form.get("exclusiveMinimum")
    high = form.get("maximum")
    under = form.get("exclusiveMaximum")
    parts = []
    if low is not None:
        parts.append(f"at least {low}")
    if over is not None:
        parts.append(f"more than {over}")
    if high is not None:
        parts.append(f"at most {high}")
    if under is not None:
        parts.append(f"less than {under}")
    return f"Range: {', '.join(parts)}." if parts else ""


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(text, _WIDTH - len(indent) - 2, break_long_words=False):
        yield f"{indent}# {line}"
