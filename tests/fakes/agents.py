"""Agents of experiments, played by the fake model server: ``agents=<play>`` among a model's knobs.

What an agent says is a function of what it is asked: the same question gets the same answer, whatever was
asked before and however often. Plays are put together with ``+``: ``agents=agree+declines``.
"""

from __future__ import annotations

import hashlib
import json
from random import Random
from typing import Any

from tests.fakes.plays import SILENT, play
from tests.fakes.questions import Asked

_NUMBERS = [1, 2, 3, 4]
_CERTAINTY = {"enum": ["very_unsure", "unsure", "no_opinion", "sure", "very_sure"]}
_PRINCIPLE = {"enum": _NUMBERS}
_AMOUNT = {"type": "integer"}
_AGREEMENT = {"properties": {"agree": {"type": "boolean"}}}
_CHOICE = {"properties": {"principle": _PRINCIPLE, "amount": _AMOUNT, "certainty": _CERTAINTY}}
_RANKING = {
    "properties": {
        "ranking": {"type": "array", "minItems": 4, "items": {"enum": _NUMBERS}},
        "certainty": _CERTAINTY,
    }
}

#: What answers look like when the request does not say; a kind that is not here is answered with a text.
SHAPES: dict[str, dict[str, Any]] = {
    "initiation": _AGREEMENT,
    "confirmation": _AGREEMENT,
    "ballot": {"properties": {"principle": _PRINCIPLE, "certainty": _CERTAINTY}},
    "amount": {"properties": {"amount": _AMOUNT}},
    "correction": {"properties": {"amount": _AMOUNT}},
    "combined": _CHOICE,
    "application": _CHOICE,
    "ranking": _RANKING,
    "final_ranking": _RANKING,
    "comprehension": {
        "properties": {"answers": {"type": "array", "minItems": 4, "items": {"enum": _NUMBERS}}}
    },
    "favoured": {"properties": {"principle": _PRINCIPLE}},
    "failure": {"properties": {"failure": {"enum": ["too_short"]}}},
}
#: Kinds of questions whose schema has another title, so that a play by the title answers them without one.
_TITLES = {"initiation": "agreement", "confirmation": "agreement", "correction": "amount"}


def answer(names: str, body: dict[str, Any]) -> str | None:
    """What the agent that plays ``names`` says to the request in ``body``; ``None``: nothing, ever.

    Raises:
        KeyError: there is no such play.
    """
    asked = _asked(body)
    lines = play(names)
    line = lines.get(asked.title or "")
    shape = asked.schema
    # Texts are looked at only where they matter: it takes longer than all the rest.
    if asked.schema is None or any(kind not in ("agreement", "ballot", "amount") for kind in lines):
        kind = asked.kind or ""
        line = lines.get(kind) or lines.get(_TITLES.get(kind, kind)) or line
        shape = shape or SHAPES.get(kind)
    if line is not None:
        said = line(asked)
        if said is SILENT:
            return None
        return said if isinstance(said, str) else json.dumps(said)
    if shape is None:
        return _speech(asked.text)
    return json.dumps(drawn(shape, _chance(asked.text)))


def _asked(body: dict[str, Any]) -> Asked:
    said = [str(message.get("content")) for message in body.get("messages") or []]
    return Asked("\n".join(said), said[-1] if said else "", _schema(body))


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    """The JSON schema that the request asks for, in either dialect."""
    openai = (body.get("response_format") or {}).get("json_schema") or {}
    schema = openai.get("schema") or body.get("format")
    return schema if isinstance(schema, dict) else None


def _chance(asked: str) -> Random:
    return Random(hashlib.sha256(asked.encode()).digest())


def _speech(asked: str) -> str:
    chance = _chance(asked)
    topics = ("the least paid", "the average", "a fair floor", "what we risk", "how far we may drift apart")
    said = [f"I think about {chance.choice(topics)}, and it matters to all of us." for _ in range(3)]
    return " ".join(said)


def drawn(schema: dict[str, Any], chance: Random) -> Any:
    """A value that ``schema`` allows; the items of an array of choices are all different."""
    if "enum" in schema:
        return chance.choice(schema["enum"])
    kinds = schema.get("type", "object")
    kind = kinds[0] if isinstance(kinds, list) else kinds
    if kind == "object":
        return {name: drawn(inner, chance) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        count = schema.get("minItems", 1)
        choices = schema["items"].get("enum")
        if choices is not None and len(choices) >= count:
            return chance.sample(choices, count)
        return [drawn(schema["items"], chance) for _ in range(count)]
    if kind == "integer":
        return chance.choice((12_000, 13_000, 14_000, 15_000))
    if kind == "boolean":
        return chance.random() < 0.5
    return _speech(str(chance.random()))
