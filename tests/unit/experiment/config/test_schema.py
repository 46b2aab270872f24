"""The published schema says what reading does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from shared.schemas.experiment.aliases import ALIASES
from shared.schemas.experiment.keys import Key, keys
from shared.schemas.experiment.reading import read_config
from shared.schemas.experiment.schema import DIALECT, json_schema
from shared.schemas.experiment.terms import IncomeClass
from tests.unit.experiment.config.files import agent, document, faults

#: Keys whose limits are met only together with another key.
_TOGETHER = {
    "phase2_rounds": {},
    "minimum_rounds": {"phase2_rounds": 1000},
    "imposed_amount": {"decision_rule": "imposed:maximizing_average_floor_constraint"},
}


def _entry(key: Key) -> dict[str, Any]:
    schema = json_schema()
    section, _, name = key.path.rpartition(".")
    if not section:
        return dict(schema["properties"][name])
    owner = next(one.section for one in keys() if one.path == section.removesuffix("[]"))
    assert owner is not None
    return dict(schema["$defs"][owner.__name__]["properties"][name])


def _with(key: Key, value: Any) -> dict[str, Any]:
    section, _, name = key.path.rpartition(".")
    if section == "agents[]":
        return {"agents": [agent("Alice"), agent("Bob") | {name: value}]}
    if section == "manipulator":
        return document(manipulator={"name": "Alice", name: value})
    if section == "phase2_settings" and name.startswith("amount_"):
        other = {"amount_min_reasonable": 1, "amount_max_reasonable": 1_000_000_000}
        return document(phase2_settings={**other, name: value})
    given = {section: {name: value}} if section else {name: value}
    return document(**given, **_TOGETHER.get(key.path, {}))


def _form(key: Key) -> dict[str, Any]:
    entry = _entry(key)
    return next((form for form in entry.get("anyOf", [entry]) if form.get("type") != "null"), {})


def _numbers() -> Iterator[Key]:
    for key in keys():
        if _form(key).get("type") in ("integer", "number") and "income_class" not in key.path:
            yield key


def _words() -> Iterator[Key]:
    for key in keys():
        if "enum" in _form(key) and key.path != "decision_rule":
            yield key


@pytest.mark.parametrize("key", list(_numbers()), ids=lambda key: key.path)
def test_limits_are_those_of_reading(key: Key) -> None:
    form = _form(key)
    field = key.path.replace("agents[]", "agents.1")
    smallest = 1 if form["type"] == "integer" else 0.01
    inside: list[Any] = []
    outside: list[Any] = []
    assert {"minimum", "exclusiveMinimum"} & form.keys()
    if "minimum" in form:
        inside.append(form["minimum"])
        outside.append(form["minimum"] - smallest)
    if "exclusiveMinimum" in form:
        inside.append(form["exclusiveMinimum"] + smallest)
        outside.append(form["exclusiveMinimum"])
    if "maximum" in form:
        inside.append(form["maximum"])
        outside.append(form["maximum"] + smallest)
    if "exclusiveMaximum" in form:
        inside.append(form["exclusiveMaximum"] - smallest)
        outside.append(form["exclusiveMaximum"])
    for value in inside:
        read_config(_with(key, value))
    for value in outside:
        assert field in faults(_with(key, value))


@pytest.mark.parametrize("key", list(_words()), ids=lambda key: key.path)
def test_words_are_those_of_reading(key: Key) -> None:
    for word in _form(key)["enum"]:
        read_config(_with(key, word))
    assert key.path.replace("agents[]", "agents.1") in faults(_with(key, "another"))


def test_decision_rules_are_those_of_reading() -> None:
    for rule in json_schema()["properties"]["decision_rule"]["enum"]:
        amount = {"imposed_amount": 13_000} if rule.endswith("constraint") else {}
        assert read_config(document(decision_rule=rule, **amount)).decision_rule == rule


def test_every_entry_says_meaning_default_and_source() -> None:
    for key in keys():
        entry = _entry(key)
        assert entry["description"].startswith(key.meaning)
        assert f"From {key.source}." in entry["description"]
        if key.required:
            assert "Required." in entry["description"]
        elif key.section is None:
            assert entry["default"] == key.default
            assert "Default: " in entry["description"]


def test_it_is_a_schema_that_refuses_unknown_keys() -> None:
    schema = json_schema()
    assert schema["$schema"] == DIALECT
    assert schema["required"] == ["agents"]
    assert schema["additionalProperties"] is False
    for name, definition in schema["$defs"].items():
        if definition["type"] == "object":
            assert definition["additionalProperties"] is False, name
    text = json.dumps(schema)
    assert not any(f'"{limit}":' in text for limit in ("ge", "gt", "le", "lt"))


def test_references_lead_somewhere() -> None:
    schema = json_schema()

    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            if "$ref" in part:
                yield part["$ref"]
            for inner in part.values():
                yield from references(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from references(inner)

    assert {name.removeprefix("#/$defs/") for name in references(schema)} == set(schema["$defs"])


def test_other_names_are_in_it_as_deprecated() -> None:
    schema = json_schema()
    for properties in (schema["properties"], schema["$defs"]["Phase2Settings"]["properties"]):
        for name in ALIASES:
            assert name in properties
    assert schema["properties"]["voting_timeout_seconds"]["deprecated"] is True
    assert schema["properties"]["voting_timeout_seconds"]["maximum"] == 600
    assert "deprecated" not in schema["properties"]["speaking_order_strategy"]


def test_a_caller_may_change_what_it_gets() -> None:
    json_schema()["properties"].clear()
    assert json_schema()["properties"]


def test_probabilities_have_all_classes() -> None:
    assert json_schema()["$defs"]["IncomeClassProbabilities"]["required"] == list(IncomeClass)
