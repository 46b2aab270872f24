"""What a configuration may say, and how what it must not say is told."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.profile import PROFILES
from shared.schemas.experiment.reading import ConfigError, read_config
from shared.schemas.experiment.terms import Language, Principle
from shared.schemas.yaml_document import YAMLError
from tests.unit.experiment.config.files import agent, config, document, faults

SHARES = {"high": 0.05, "medium_high": 0.10, "medium": 0.50, "medium_low": 0.25, "low": 0.10}

OLD_FILE = """
language: "Spanish"
agents:
  - name: "Agent_1"
    personality: "A careful person."
    model: "gemini-2.5-flash"
    temperature: 0.0
    memory_character_limit: 25000
    reasoning_enabled: no
  - name: "Agent_2"
    personality: |
      A person
      of few words.
    language: "english"
utility_agent_model: gpt-4.1-mini
phase2_rounds: 10
distribution_range_phase2: [2, 6]
income_class_probabilities:
  high: 0.05
  medium_high: 0.10
  medium: 0.50
  medium_low: 0.25
  low: 0.10
original_values_mode:
  enabled: true
transcript_logging:
  enabled: yes
  output_path: null
phase2_settings: null
manipulator:
  name: Agent_2
  intelligence_level: high
  target_strategy: least_popular_after_round1
  tiebreak: seeded_deterministic
  tiebreak_seed: 7
  tiebreak_order: [maximizing_average, maximizing_floor]
seed: 21000
"""


def test_a_file_of_the_earlier_experiments() -> None:
    read = read_config(OLD_FILE)
    assert read == read_config(OLD_FILE.encode())
    assert read.language is Language.SPANISH
    assert [one.language for one in read.agents] == [Language.SPANISH, Language.ENGLISH]
    assert read.agents[0].reasoning_enabled is False
    assert read.distribution_range_phase2 == (2.0, 6.0)
    assert read.income_class_probabilities is not None
    assert read.income_class_probabilities.in_order()[0] == Decimal("0.05")
    assert read.transcript_logging.enabled
    assert read.manipulating is not None
    assert (read.manipulating.type, read.manipulating.tiebreak) == ("hidden_target", "order")
    assert read.manipulating.tiebreak_order == [Principle.MAXIMIZING_AVERAGE, Principle.MAXIMIZING_FLOOR]
    assert read.profile == "original"


@pytest.mark.parametrize(
    ("written", "language"),
    [
        ("English", Language.ENGLISH),
        ("english", Language.ENGLISH),
        ("ESPAÑOL", Language.SPANISH),
        ("Mandarin", Language.MANDARIN),
        ("Chinese", Language.MANDARIN),
        (" chinese ", Language.MANDARIN),
    ],
)
def test_languages_by_any_name(written: str, language: Language) -> None:
    assert config(language=written).language is language
    assert {one.language for one in config(language=written).agents} == {language}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_sets_defaults_only(profile: str) -> None:
    of_profile = PROFILES[profile]  # type: ignore[index]
    read = config(profile=profile)
    assert {key: getattr(read, key) for key in of_profile} == of_profile
    other = PROFILES["human" if profile == "original" else "original"]
    for key, value in other.items():
        changed = config(profile=profile, **{key: value})
        assert getattr(changed, key) == value
        assert {one: getattr(changed, one) for one in of_profile if one != key} == {
            one: of_profile[one] for one in of_profile if one != key
        }


def test_old_files_mean_what_they_meant() -> None:
    assert config() == config(profile="original")


@pytest.mark.parametrize("profile", PROFILES)
def test_a_read_configuration_reads_back(profile: str) -> None:
    read = config(profile=profile, income_class_probabilities=SHARES, manipulator={"name": "Bob"})
    assert read_config(read.model_dump(mode="json")) == read
    assert ExperimentConfig.model_validate_json(read.model_dump_json()) == read


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"phase2_round": 3}, "phase2_round", "did you mean phase2_rounds?"),
    ({"agents": [agent("A"), agent("B", modle="x")]}, "agents.1.modle", "did you mean model?"),
    ({"phase2_settings": {"balot_timeout_seconds": 3}}, "phase2_settings.balot_timeout_seconds", "ballot_"),
    ({"agents": [agent("A")]}, "agents", "at least 2"),
    ({"agents": [agent("A"), {"name": "B"}]}, "agents.1.personality", "must be given"),
    ({"agents": [agent("Alice"), agent("Bob"), agent("alice")]}, "agents.2.name", "agents.0"),
    ({"agents": [agent("Agent 1"), agent("agent  1")]}, "agents.1.name", "agents.0"),
    ({"agents": [agent("Agent1"), agent(" agent 1 ")]}, "agents.1.name", "case and blanks"),
    ({"agents": [agent("A"), agent("-")]}, "agents.1.name", "letter or a digit"),
    ({"agents": [agent("A"), agent("B\u200bC\u0007")]}, "agents.1.name", "control"),
    ({"agents": [agent("A"), agent("B", personality="\ud800")]}, "body", "agents.1.personality"),
    ({"distribution_range_phase1": [2.0, 0.5]}, "distribution_range_phase1", "lowest"),
    ({"distribution_range_phase2": [1.0, 1.0]}, "distribution_range_phase2", "lowest"),
    ({"distribution_range_phase2": [0.0, 1.0]}, "distribution_range_phase2.0", "greater than 0"),
    (
        {"phase2_settings": {"amount_min_reasonable": 900, "amount_max_reasonable": 800}},
        "phase2_settings.amount_min_reasonable",
        "amount_max_reasonable (800)",
    ),
    ({"income_class_probabilities": {**SHARES, "low": 0.11}}, "income_class_probabilities", "1.01"),
    ({"income_class_probabilities": {**SHARES, "low": -0.1}}, "income_class_probabilities.low", "0"),
    ({"income_class_probabilities": {"high": 1}}, "income_class_probabilities.low", "must be given"),
    ({"income_class_probabilities": {**SHARES, "high": "nan"}}, "income_class_probabilities.high", "finite"),
    ({"manipulator": {"name": "Zoe"}}, "manipulator.name", "the agents are Alice, Bob, Carol"),
    ({"manipulator": {"type": "disruptive"}}, "manipulator.name", "must be given"),
    (
        {"manipulator": {"name": "Bob", "intervention_round": [1, 11]}},
        "manipulator.intervention_round.1",
        "phase2_rounds is 10",
    ),
    (
        {"manipulator": {"name": "Bob", "tiebreak_order": ["maximizing_floor", "maximizing_floor"]}},
        "manipulator.tiebreak_order.1",
        "once",
    ),
    ({"decision_rule": "dictator"}, "decision_rule", "imposed:<principle>"),
    ({"decision_rule": "imposed:justice"}, "decision_rule", "maximizing_floor"),
    ({"decision_rule": "maximizing_floor"}, "decision_rule", "imposed:<principle>"),
    (
        {"decision_rule": "imposed:maximizing_average_floor_constraint"},
        "imposed_amount",
        "needs an amount",
    ),
    ({"imposed_amount": 13_000}, "imposed_amount", "must be left out"),
    (
        {"decision_rule": "imposed:maximizing_floor", "imposed_amount": 13_000},
        "imposed_amount",
        "must be left out",
    ),
    ({"minimum_rounds": 11}, "minimum_rounds", "phase2_rounds is 10"),
    ({"profile": "human", "phase2_rounds": 1}, "minimum_rounds", "leaves no round"),
    ({"profile": "modern"}, "profile", "'original' or 'human'"),
    ({"budget": {"tokens": 0}}, "budget.tokens", "greater than or equal to 1"),
    ({"models": {"*": ""}}, "models.*", "at least 1"),
]


@pytest.mark.parametrize(("keys", "field", "says"), REFUSED)
def test_refused_with_its_path(keys: dict[str, Any], field: str, says: str) -> None:
    told = faults({**document(), **keys})
    assert field in told, told
    assert says in told[field]


def test_all_faults_are_told_at_once() -> None:
    told = faults(document("A", "a", phase2_rounds=3, minimum_rounds=4, manipulator={"name": "Zoe"}))
    assert told.keys() == {"agents.1.name", "minimum_rounds", "manipulator.name"}
    told = faults(document(language="French", phase2_rounds=0, nonsense=1))
    assert told.keys() == {"language", "phase2_rounds", "nonsense"}


def test_what_does_not_go_together_is_told_beside_wrong_keys() -> None:
    given_document = document(
        "Ana",
        "ana",
        "Ben",
        phase2_round=3,
        language="French",
        decision_rule="imposed:maximizing_average_floor_constraint",
        distribution_range_phase1=[2, 1],
        distribution_range_phase2=[0, 1],
        income_class_probabilities={**SHARES, "low": 0.11, "lowest": 0},
        phase2_settings={"amount_min_reasonable": 900, "amount_max_reasonable": 800, "x": 1},
        manipulator={"name": "Zoe", "typ": "x", "intervention_round": [1, 11], "tiebreak_seed": -1},
    )
    given_document["agents"][2]["modle"] = "x"
    assert faults(given_document).keys() == {
        "phase2_round",
        "language",
        "agents.2.modle",
        "agents.1.name",
        "imposed_amount",
        "distribution_range_phase1",
        "distribution_range_phase2.0",
        "income_class_probabilities",
        "income_class_probabilities.lowest",
        "phase2_settings.amount_min_reasonable",
        "phase2_settings.x",
        "manipulator.name",
        "manipulator.typ",
        "manipulator.intervention_round.1",
        "manipulator.tiebreak_seed",
    }


@pytest.mark.parametrize(
    ("given_document", "fields"),
    [
        # Of what is not valid itself nothing more is told, nor of what depends on it.
        (document(phase2_rounds=0, minimum_rounds=11), {"phase2_rounds"}),
        (document(decision_rule="dictator", imposed_amount=3), {"decision_rule"}),
        (document(income_class_probabilities={**SHARES, "low": 2}), {"income_class_probabilities.low"}),
        (document(income_class_probabilities={"high": 2}, minimum_rounds=11), None),
        (
            {"agents": [agent("A"), {"name": "-"}, agent("a")], "manipulator": {"name": "Zoe"}},
            {"agents.1.name", "agents.1.personality", "agents.2.name"},
        ),
        (
            {"agents": [agent("A", x=1)], "manipulator": {"name": "Zoe"}, "minimum_rounds": 11},
            {"agents.0.x", "agents", "minimum_rounds"},
        ),
        ({"agents": [agent("A"), "B", agent("a")], "y": 1}, {"agents.1", "agents.2.name", "y"}),
        ({"manipulator": {"name": "Zoe"}, "minimum_rounds": 11}, {"agents", "minimum_rounds"}),
        (document("A", "a", manipulator=3, phase2_settings=[1]), None),
        (
            document(voting_retry_attempts=99, required_consensus="imposed:x", imposed_amount=3),
            {"voting_retry_attempts", "required_consensus"},
        ),
    ],
)
def test_what_depends_on_a_wrong_key_is_not_guessed_at(
    given_document: dict[str, Any], fields: set[str] | None
) -> None:
    told = faults(given_document)
    if fields is None:
        fields = {"minimum_rounds"} if "minimum_rounds" in given_document else {"agents.1.name"}
        assert fields < told.keys()
        assert not told.keys() & {"income_class_probabilities", "manipulator.name"}
    else:
        assert told.keys() == fields


def test_every_wrong_value_is_told_whatever_else_is_wrong() -> None:
    """Each of the configurations that are refused, with a key that is not one, and with two agents alike."""
    for keys, field, _ in REFUSED:
        if "agents" in keys or field == "body":
            continue
        wrong = {**document("Alice", "Bob", "Carol", "bob"), **keys, "nonsense": 1}
        assert {field, "nonsense", "agents.3.name"} <= faults(wrong).keys(), keys


@pytest.mark.parametrize("given_document", [[], "3", "just text", b"- a\n- b", "null"])
def test_what_is_no_mapping(given_document: Any) -> None:
    assert faults(given_document).keys() == {"body"}


def test_what_is_no_yaml_names_the_line() -> None:
    with pytest.raises(YAMLError) as caught:
        read_config("language: English\nagents: ]\nseed: 3")
    assert caught.value.errors[0]["line"] == 2


def test_probabilities_are_added_up_as_written() -> None:
    tenths = {"high": 0.1, "medium_high": 0.2, "medium": 0.3, "medium_low": 0.3, "low": 0.1}
    config(income_class_probabilities=tenths)
    thirds = {"high": 0.333333, "medium_high": 0.333333, "medium": 0.333333, "medium_low": 0, "low": 0}
    config(income_class_probabilities=thirds)
    assert faults(document(income_class_probabilities={**thirds, "high": 0.333331}))


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4).filter(lambda parts: sum(parts) <= 1000))
@settings(max_examples=60, deadline=None)
def test_any_shares_of_a_thousand_add_up(parts: list[int]) -> None:
    parts = [*parts, 1000 - sum(parts)]
    shares = dict(zip(SHARES, (part / 1000 for part in parts), strict=True))
    read = config(income_class_probabilities=shares).income_class_probabilities
    assert read is not None
    assert sum(read.in_order()) == 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    ),
    st.sampled_from(
        [
            "agents",
            "language",
            "phase2_settings",
            "models",
            "manipulator",
            "budget",
            "voting_timeout_seconds",
            "income_class_probabilities",
            "memory_character_limit",
            "decision_rule",
            "seed",
            "profile",
        ]
    ),
)
@settings(max_examples=200, deadline=None)
def test_garbage_is_read_or_refused(value: Any, key: str) -> None:
    error = _error({**document(), key: value})
    if error is not None:
        assert error.errors
        assert all(isinstance(one["field"], str) and one["field"] for one in error.errors)


def _error(values: dict[str, Any]) -> ConfigError | None:
    try:
        read_config(values)
    except ConfigError as error:
        return error
    return None


def test_sections_by_a_switch_or_null() -> None:
    assert config(original_values_mode=True).original_values_mode.enabled
    assert not config(phase2_enhanced_transparency=False).phase2_enhanced_transparency.enabled
    assert config(budget=None, logging=None, models=None, phase2_settings=None) == config()


def test_imposed() -> None:
    assert config().imposed is None
    read = config(decision_rule="imposed: maximizing_average_floor_constraint", imposed_amount=13_000)
    assert read.imposed is Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT
    assert config(decision_rule="imposed:minimizing_range", phase2_rounds=1, minimum_rounds=9).imposed
