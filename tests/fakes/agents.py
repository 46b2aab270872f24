"""Agents of experiments, played by the fake model server: ``agents=<play>`` among a model's knobs.

What an agent says is a function of what it is asked: the same question gets the same answer, whatever was
asked before and however often.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from random import Random
from typing import Any

#: What a play answers to one kind of question (the title of its JSON schema); what it leaves out is drawn.
Play = dict[str, Callable[[str], Any]]

PLAYS: dict[str, Play] = {
    # Talks on and on: nobody ever asks for a vote.
    "talk": {"agreement": lambda _: {"agree": False}},
    # Wants to vote at once, and for the same as everybody.
    "agree": {
        "agreement": lambda _: {"agree": True},
        "ballot": lambda _: {"principle": 3, "certainty": "sure"},
        "amount": lambda _: {"amount": 14_000},
    },
    # Everything is drawn: votes come and go.
    "chance": {},
}


def answer(play: str, body: dict[str, Any]) -> str:
    """What the agent says to the request in ``body``.

    Raises:
        KeyError: there is no such play.
    """
    asked = "\n".join(str(message.get("content")) for message in body.get("messages") or [])
    schema = _schema(body)
    if schema is None:
        return _speech(asked)
    made = PLAYS[play].get(str(schema.get("title")))
    return json.dumps(made(asked) if made is not None else drawn(schema, _chance(asked)))


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
