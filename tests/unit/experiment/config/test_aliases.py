"""The documented names, and the places that the architecture document puts them in."""

from __future__ import annotations

from typing import Any

import pytest

from shared.schemas.experiment.aliases import ALIASES, MEMORY_LIMIT, PLACES
from shared.schemas.experiment.keys import keys
from shared.schemas.experiment.reading import read_config
from tests.unit.experiment.config.files import config, document, faults

#: A documented name, a value that is not the default, and another.
VALUES: dict[str, tuple[Any, Any]] = {
    "voting_timeout_seconds": (30, 60),
    "voting_retry_attempts": (5, 6),
    "two_stage_voting_max_retries": (5, 6),
    "two_stage_voting_timeout_seconds": (30, 60),
    "two_stage_voting_enabled": (False, True),
    "required_consensus": ("majority", "unanimity"),
    "discussion_validation_enabled": (False, True),
    "statement_validation_enabled": (False, True),
    "public_history_max_length": (20_000, 30_000),
    "include_internal_reasoning": (True, False),
    "phase2_include_internal_reasoning_in_memory": (True, False),
    "randomize_speaking_order": (False, True),
    "speaking_order_strategy": ("fixed", "conversational"),
    "finished_agents_may_speak": (False, True),
    "transparency_detail_level": ("basic", "enhanced"),
    "include_counterfactuals": (False, True),
    "include_class_assignment": (False, True),
    "include_insights": (False, True),
    "memory_guidance_style": ("narrative", "structured"),
    "selective_memory_updates": (False, True),
    "memory_update_threshold": ("minimal", "comprehensive"),
}


def _placed(place: str, name: str, value: Any) -> dict[str, Any]:
    return {place: {name: value}} if place else {name: value}


def _of(values: dict[str, Any], path: str) -> Any:
    for part in path.split("."):
        values = values[part]
    return values


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = dict(one)
    for key, value in other.items():
        both[key] = {**both[key], **value} if isinstance(value, dict) and key in both else value
    return both


def test_every_documented_name_stands_for_keys_that_there_are() -> None:
    paths = {key.path for key in keys()}
    assert {target for targets in ALIASES.values() for target in targets} <= paths
    assert VALUES.keys() == ALIASES.keys()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ALIASES)
def test_name_means_its_keys_in_either_place(name: str, place: str) -> None:
    value, _ = VALUES[name]
    read = read_config(document(**_placed(place, name, value))).model_dump(mode="json")
    for target in ALIASES[name]:
        assert _of(read, target) == value


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ALIASES)
def test_name_and_key_must_say_the_same(name: str, place: str) -> None:
    value, other = VALUES[name]
    written = f"{place}.{name}" if place else name
    for target in ALIASES[name]:
        if target == written:
            continue
        section, _, key = target.rpartition(".")
        given = _merged(_placed(place, name, value), _placed(section, key, other))
        told = faults(document(**given))
        assert told.keys() == {written}
        assert target in told[written]
        read_config(document(**_merged(_placed(place, name, value), _placed(section, key, value))))


def test_two_names_of_one_key_must_say_the_same() -> None:
    told = faults(document(voting_retry_attempts=2, two_stage_voting_max_retries=4))
    assert told == {
        "two_stage_voting_max_retries": "means the same as voting_retry_attempts, which says '2'; give one "
        "of them"
    }


def test_faults_name_what_was_written() -> None:
    assert faults(document(voting_timeout_seconds=900)).keys() == {"voting_timeout_seconds"}
    told = faults(document(phase2_settings={"transparency_detail_level": "total"}))
    assert told.keys() == {"phase2_settings.transparency_detail_level"}


def test_memory_limit_stands_for_the_agents_that_have_none() -> None:
    given = document(memory_character_limit=25_000)
    given["agents"][1][MEMORY_LIMIT] = 9_000
    assert [one.memory_character_limit for one in read_config(given).agents] == [25_000, 9_000, 25_000]
    assert faults(document(memory_character_limit=0)) == {
        "memory_character_limit": "should be greater than 0 (it is 0)"
    }
    both = document(memory_character_limit=1000, phase2_settings={"memory_character_limit": 2000})
    assert faults(both).keys() == {"phase2_settings.memory_character_limit"}


def test_manipulator_of_the_document() -> None:
    read = config(manipulator={"name": "Bob", "enabled": True, "type": "disruptive", "intervention_round": 3})
    assert read.manipulating is not None
    assert read.manipulating.intervention_round == [3]
    assert config(manipulator={"name": "Bob", "enabled": False}).manipulating is None
    assert config(manipulator={"enabled": False}).manipulating is None


def test_a_name_does_not_hide_a_section_of_the_wrong_form() -> None:
    assert "phase2_settings" in faults(document(voting_timeout_seconds=30, phase2_settings=3))


def test_reading_does_not_change_what_it_reads() -> None:
    given = document(voting_timeout_seconds=30, phase2_settings={"include_insights": False})
    before = repr(given)
    read_config(given)
    assert repr(given) == before
