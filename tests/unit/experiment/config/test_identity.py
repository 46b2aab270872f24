"""What makes two configurations the same experiment."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field

from shared.schemas.experiment.agent_config import AgentConfig
from shared.schemas.experiment.config import SEEDS, ExperimentConfig
from shared.schemas.experiment.identity import config_hash, derived_seed, design_hash
from shared.schemas.experiment.phase2_settings import Phase2Settings
from shared.schemas.experiment.profile import PROFILES, Profile
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


class LaterAgent(AgentConfig):
    """An agent with a key that this version does not have."""

    patience: int = 3


class LaterSettings(Phase2Settings):
    """Settings with a key more."""

    pause_seconds: float = 0.5


class LaterConfig(ExperimentConfig):
    """A configuration of a later version: more keys, on the top and below, each with a default."""

    agents: list[LaterAgent]  # type: ignore[assignment]
    phase2_settings: LaterSettings = Field(default_factory=LaterSettings)
    new_key: str | None = None
    new_section: dict[str, int] = Field(default_factory=lambda: {"a": 1})


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"profile": "human", "language": "Spanish"},
        {"phase2_settings": {"constraint_tolerance": 500}, "manipulator": {"name": "Bob"}},
    ],
)
def test_a_key_that_a_later_version_adds_changes_nothing(keys: dict[str, Any]) -> None:
    now, later = config(**keys), LaterConfig.model_validate(document(**keys))

    assert later.new_section == {"a": 1}
    assert config_hash(later) == config_hash(now)
    assert derived_seed(later) == derived_seed(now)
    assert design_hash(later, models(later)) == design_hash(now, models(now))
    assert config_hash(LaterConfig.model_validate(document(**keys, new_key="x"))) != config_hash(now)
    patient = [{**each, "patience": 4} for each in document()["agents"]]
    assert config_hash(LaterConfig.model_validate(document(**keys, agents=patient))) != config_hash(now)


@pytest.mark.parametrize("profile", PROFILES)
def test_writing_out_the_defaults_of_a_profile_changes_nothing(profile: Profile) -> None:
    short = config(profile=profile)
    whole = read_config(short.model_dump(mode="json"))

    assert config_hash(whole) == config_hash(short)
    assert derived_seed(whole) == derived_seed(short)
    # And a profile's default, written out under the other one, does count.
    other = next(each for each in PROFILES if each != profile)
    assert config_hash(config(profile=other, **PROFILES[profile])) != config_hash(config(profile=other))


def test_a_section_that_is_there_counts_though_all_of_it_are_defaults() -> None:
    assert config_hash(config(manipulator={"name": "Bob"})) != config_hash(config())
    assert config_hash(config(manipulator={"name": "Bob", "type": "hidden_target"})) == config_hash(
        config(manipulator={"name": "Bob"})
    )


def test_the_seed_and_the_hash_of_a_file_stay_what_they_are() -> None:
    """Published runs name them: a change of this form is a change of every seed that follows from a file."""
    read = config(phase2_rounds=4, phase2_settings={"constraint_tolerance": 500})

    assert config_hash(read) == "2cfd0ce96586bf0ff9b23c1e05d6a2414ce806651d6c49052a2cbf2d026a010a"
    assert derived_seed(read) == 1573687089
    assert (
        design_hash(read, models(read)) == "b7ce3cd974fe7acbd450d2225299d102c787d0d2c60212920fcb5f606de26dff"
    )


def test_repetitions_share_their_design_whatever_their_seeds() -> None:
    designs = {design_hash(config(seed=seed), models(config())) for seed in range(5)}

    assert designs == {design_hash(config(), models(config()))}
    assert len({config_hash(config(seed=seed)) for seed in range(5)}) == 5


def test_the_models_that_answer_belong_to_the_design() -> None:
    named, local = config(), config(models={"*": "local"})
    answering = models(named, "small")

    assert design_hash(local, answering) == design_hash(named, answering)
    assert design_hash(named, answering) != design_hash(named, models(named, "large"))
    assert design_hash(named, {**answering, None: "large"}) != design_hash(named, answering)
    assert design_hash(named, {**answering, "Bob": "large"}) != design_hash(named, answering)
    # What the file calls them does not: the same models answer.
    renamed = config(agents=[agent(name, model="another") for name in named.names])
    assert design_hash(renamed, answering) == design_hash(named, answering)


def test_what_a_fork_has_in_common_with_its_source_belongs_to_its_design() -> None:
    answering = models(config())
    whole = design_hash(config(), answering)
    forks = {design_hash(config(), answering, fork=(whole, number)) for number in (2, 3)}

    assert len({whole, *forks}) == 3


def models(of: ExperimentConfig, name: str = "m") -> dict[str | None, str]:
    """One model for every role."""
    return dict.fromkeys((*of.names, None), name)
