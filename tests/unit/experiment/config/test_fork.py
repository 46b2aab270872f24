"""What may differ from a round on."""

from __future__ import annotations

from typing import Any

import pytest

from shared.schemas.experiment.fork import CHANGEABLE, CHANGEABLE_OF_AGENTS, changed
from shared.schemas.experiment.identity import derived_seed
from shared.schemas.experiment.keys import keys
from shared.schemas.experiment.reading import ConfigError
from tests.unit.experiment.config.files import config


def _refused(changes: dict[str, Any], **more: Any) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        changed(config(), changes, **more)
    return {one["field"]: one["message"] for one in caught.value.errors}


def test_keys_that_may_differ_exist() -> None:
    paths = {key.path for key in keys()}
    assert paths >= CHANGEABLE
    assert {f"agents[].{name}" for name in CHANGEABLE_OF_AGENTS} <= paths


def test_a_fork_keeps_the_seed() -> None:
    before = config()
    fork = changed(before, {"phase2_rounds": 4}, from_round=3)
    assert fork.seed == derived_seed(before)
    assert fork.phase2_rounds == 4
    assert changed(fork, {}).seed == fork.seed


def test_sections_are_merged_and_names_understood() -> None:
    before = config(phase2_settings={"constraint_tolerance": 500})
    fork = changed(before, {"voting_timeout_seconds": 30, "include_insights": False})
    assert fork.phase2_settings.constraint_tolerance == 500
    assert fork.phase2_settings.ballot_timeout_seconds == 30
    assert fork.phase2_enhanced_transparency.include_insights is False


def test_a_manipulator_may_come_change_and_go() -> None:
    fork = changed(config(), {"manipulator": {"name": "Bob", "type": "disruptive"}})
    assert fork.manipulating is not None
    other = changed(fork, {"manipulator": {"type": "persuasive"}}).manipulating
    assert other is not None
    assert (other.name, other.type) == ("Bob", "persuasive")
    assert changed(fork, {"manipulator": None}).manipulator is None


def test_agents_by_name() -> None:
    fork = changed(config(), {"agents": {"Bob": {"model": "local", "temperature": 0}}})
    assert [one.model for one in fork.agents] == ["o3-mini", "local", "o3-mini"]
    assert fork.names == config().names


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"language": "Spanish"}, "language"),
        ({"seed": 3}, "seed"),
        ({"profile": "human"}, "profile"),
        ({"original_values_mode": {"enabled": True}}, "original_values_mode"),
        ({"memory_character_limit": 3000}, "memory_character_limit"),
        ({"nonsense": 3}, "nonsense"),
        ({"phase2_rounds": 0}, "phase2_rounds"),
        ({"minimum_rounds": 20}, "minimum_rounds"),
        ({"decision_rule": "imposed:maximizing_floor"}, "decision_rule"),
        ({"agents": {"Zoe": {"model": "local"}}}, "agents.Zoe"),
        ({"agents": {"Bob": {"name": "Rob"}}}, "agents.Bob.name"),
        ({"agents": {"Bob": "local"}}, "agents.Bob"),
        ({"agents": []}, "agents"),
    ],
)
def test_refused(changes: dict[str, Any], field: str) -> None:
    assert field in _refused(changes)


@pytest.mark.parametrize("number", [0, 5])
def test_the_round_must_be_one_of_the_forks(number: int) -> None:
    assert "round" in _refused({"phase2_rounds": 4}, from_round=number)
