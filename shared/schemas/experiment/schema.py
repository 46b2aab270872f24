"""The JSON Schema of a configuration file, as the API and the command line publish it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from shared.schemas.experiment.aliases import ALIASES, MEMORY_LIMIT
from shared.schemas.experiment.config import SWITCHED_SECTIONS, ExperimentConfig
from shared.schemas.experiment.keys import Key, keys

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_LIMITS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def json_schema() -> dict[str, Any]:
    """The schema: every key with meaning, unit, default, range and source; other names as deprecated."""
    schema: dict[str, Any] = json.loads(_text())
    return schema


@cache
def _text() -> str:
    schema = ExperimentConfig.model_json_schema()
    schema = {"$schema": DIALECT, "title": "Configuration of an experiment", **_without_title(schema)}
    definitions = schema["$defs"]
    for one in (schema["properties"], *(definition.get("properties") for definition in definitions.values())):
        _say_limits(one)
    for key in keys():
        owner = _owner(schema, key)
        _describe(owner["properties"][key.name], key)
    for name in SWITCHED_SECTIONS:
        _also(schema["properties"][name], [{"type": "boolean"}, {"type": "null"}])
    for name in ("phase2_settings", "logging", "budget", "models"):
        _also(schema["properties"][name], [{"type": "null"}])
    for properties in (schema["properties"], definitions["Phase2Settings"]["properties"]):
        _add_documented_names(schema, properties)
    return json.dumps(schema, ensure_ascii=False)


def _without_title(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != "title"}


def _owner(schema: dict[str, Any], key: Key) -> dict[str, Any]:
    section = key.path.rpartition(".")[0]
    if not section:
        return schema
    found = next(one.section for one in keys() if one.path == section.removesuffix("[]"))
    assert found is not None
    owner: dict[str, Any] = schema["$defs"][found.__name__]
    return owner


def _describe(entry: dict[str, Any], key: Key) -> None:
    told = [key.meaning]
    if key.required:
        told.append("Required.")
    elif key.section is None:
        told.append(f"Default: {json.dumps(key.default, ensure_ascii=False)}.")
        entry["default"] = key.default
    told.append(f"From {key.source}.")
    entry.pop("title", None)
    entry["description"] = " ".join(told)


def _say_limits(part: Any) -> None:
    """Write the limits of a number as JSON Schema has them, wherever a check before the number hid them."""
    if isinstance(part, dict):
        for name, standard in _LIMITS.items():
            if name in part:
                part[standard] = part.pop(name)
        for inner in part.values():
            _say_limits(inner)
    elif isinstance(part, list):
        for inner in part:
            _say_limits(inner)


def _also(entry: dict[str, Any], forms: list[dict[str, Any]]) -> None:
    """Let a section be written in a shorter form too."""
    outer: dict[str, Any] = {name: entry.pop(name) for name in ("description", "default") if name in entry}
    form = dict(entry)
    entry.clear()
    entry.update({**outer, "anyOf": [form, *forms]})


def _add_documented_names(schema: Mapping[str, Any], properties: dict[str, Any]) -> None:
    by_path = {key.path: key for key in keys()}
    for name, targets in ALIASES.items():
        if name not in properties:
            owner = _owner(dict(schema), by_path[targets[0]])
            meant = {
                part: value
                for part, value in owner["properties"][targets[0].rpartition(".")[2]].items()
                if part not in ("description", "default")
            }
            properties[name] = {
                **meant,
                "description": f"Another name, or place, of {', '.join(targets)}.",
                "deprecated": True,
            }
    properties.setdefault(
        MEMORY_LIMIT,
        {
            "type": "integer",
            "exclusiveMinimum": 0,
            "description": "Stands for agents[].memory_character_limit of every agent that has none.",
            "deprecated": True,
        },
    )
