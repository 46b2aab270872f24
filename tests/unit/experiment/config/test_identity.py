"""What makes two configurations the same experiment."""

from __future__ import annotations

from typing import Any

import pytest

from shared.schemas.experiment.config import SEEDS
from shared.schemas.experiment.identity import config_hash, derived_seed
from shared.schemas.experiment.reading import read_config
from shared.schemas.experiment.terms import IncomeClass
from tests.unit.experiment.config.files import agent, config, document


def test_a_given_seed_wins() -> None:
    assert derived_seed(config(seed=21000)) == 21000
    assert derived_seed(config(seed=0)) == 0


def test_the_derived_seed_is_in_range_and_the_same_everywhere() -> None:
    seeds = {derived_seed(config(phase2_rounds=rounds)) for rounds in range(1, 40)}
    assert len(seeds) == 39
    assert all(0 <= seed < SEEDS for seed in seeds)
    assert derived_seed(config()) == derived_seed(read_config(config().model_dump(mode="json")))


def test_swapping_two_agents_changes_the_seed() -> None:
    one = {"agents": [agent("A", model="gpt-4.1"), agent("B", model="gemini-2.5-pro")]}
    other = {"agents": [one["agents"][1], one["agents"][0]]}
    swapped_models = {"agents": [agent("A", model="gemini-2.5-pro"), agent("B", model="gpt-4.1")]}
    configs = [read_config(each) for each in (one, other, swapped_models)]
    assert len({derived_seed(each) for each in configs}) == 3
    assert len({config_hash(each) for each in configs}) == 3


@pytest.mark.parametrize(
    "keys",
    [
        {"manipulator": {"name": "Bob"}},
        {"manipulator": {"name": "Bob", "tiebreak_seed": 3}},
        {"memory_character_limit": 25_000},
        {"phase2_settings": {"public_history_max_length": 10_000}},
        {"profile": "human"},
        {"language": "Spanish"},
        {"income_class_probabilities": dict.fromkeys(IncomeClass, 0.2)},
    ],
)
def test_what_a_run_does_counts(keys: dict[str, Any]) -> None:
    assert derived_seed(config(**keys)) != derived_seed(config())
    assert config_hash(config(**keys)) != config_hash(config())


@pytest.mark.parametrize(
    "keys",
    [
        {"budget": {"tokens": 5}},
        {"logging": {"use_colors": False}},
        {"transcript_logging": True},
        {"models": {"*": "local"}},
        {"connection": "mine"},
        {"utility_agent_connection": "mine"},
        {"agents": [agent("Alice", connection="mine"), agent("Bob"), agent("Carol")]},
    ],
)
def test_where_and_how_far_it_goes_does_not_count(keys: dict[str, Any]) -> None:
    assert config_hash(read_config({**document(), **keys})) == config_hash(config())
    assert derived_seed(read_config({**document(), **keys})) == derived_seed(config())


def test_the_way_of_writing_does_not_count() -> None:
    written = document(voting_timeout_seconds=600, language="english", distribution_range_phase1=[0.5, 2])
    assert config_hash(read_config(written)) == config_hash(config())


def test_the_seed_counts_for_the_hash() -> None:
    assert config_hash(config(seed=1)) != config_hash(config(seed=2))
