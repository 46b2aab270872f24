"""What is allowed and may not be what was meant."""

from __future__ import annotations

from typing import Any

import pytest

from shared.schemas.experiment.cautions import cautions
from tests.unit.experiment.config.files import agent, config


def test_the_defaults_need_no_caution() -> None:
    assert cautions(config()) == []
    assert cautions(config(profile="human")) == []


@pytest.mark.parametrize(
    ("keys", "field", "says"),
    [
        ({"phase2_settings": {"min_agents_for_experiment": 5}}, "agents", "are 3"),
        ({"distribution_range_phase2": [2, 6]}, "distribution_range_phase2", "$24,000"),
        ({"batch_simple_events": True}, "batch_simple_events", "no effect"),
        (
            {"agents": [agent("A"), agent("B", memory_character_limit=100)]},
            "agents.1.memory_character_limit",
            "100 characters",
        ),
        (
            {"manipulator": {"name": "Bob"}, "phase2_settings": {"reasoning_enabled": False}},
            "manipulator.name",
            "role only",
        ),
        (
            {"manipulator": {"name": "Bob"}, "decision_rule": "imposed:maximizing_floor"},
            "manipulator",
            "imposed",
        ),
        (
            {"forced_ballot_last_round": True, "decision_rule": "imposed:maximizing_floor"},
            "forced_ballot_last_round",
            "imposed",
        ),
    ],
)
def test_told(keys: dict[str, Any], field: str, says: str) -> None:
    told = {caution.field: caution.message for caution in cautions(config(**keys))}
    assert told.keys() == {field}
    assert says in told[field]
