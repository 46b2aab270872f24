"""Every key of the earlier experiments' files is there, with its default and its range."""

from __future__ import annotations

from typing import Any

import pytest

from shared.schemas.experiment.keys import keys
from shared.schemas.experiment.reading import read_config
from tests.unit.experiment.config.files import document, faults

SECONDS = (600, [10, 600], [9, 601])

#: path: (default, what is still allowed, what is refused).
TOP: dict[str, tuple[Any, list[Any], list[Any]]] = {
    "language": ("english", ["English", "Spanish", "Mandarin"], ["French", "", 3]),
    "utility_agent_model": ("gpt-4.1-mini", ["local"], ["", "  ", 3]),
    "utility_agent_temperature": (0, [0, 2], [-0.1, 2.1, True]),
    "phase2_rounds": (10, [1, 15], [0, -1, 1.5, True, "many"]),
    "randomize_speaking_order": (True, [False, "no"], ["perhaps", 3]),
    "speaking_order_strategy": ("random", ["fixed", "conversational", "Random"], ["alphabetical"]),
    "distribution_range_phase1": (
        [0.5, 2.0],
        [[1, 1.01], [2, 6]],
        [[2, 1], [1, 1], [0, 1], [-1, 1], [1], [1, 2, 3]],
    ),
    "distribution_range_phase2": ([0.5, 2.0], [[2, 6]], [[2, 2], [6, 2], [0, 3]]),
    "income_class_probabilities": (None, [None], [0.2, {"high": 1}]),
    "seed": (None, [None, 0, 2**31 - 1, 21000], [-1, 2**31, 1.5, "x", True]),
    "memory_guidance_style": ("structured", ["narrative"], ["concise"]),
    "include_experiment_explanation": (True, [False], ["x"]),
    "include_experiment_explanation_each_turn": (False, [True], ["x"]),
    "phase2_include_internal_reasoning_in_memory": (False, [True], ["x"]),
    "selective_memory_updates": (True, [False], ["x"]),
    "memory_update_threshold": ("moderate", ["minimal", "comprehensive"], ["maximal"]),
    "batch_simple_events": (False, [True], ["x"]),
    "enable_intelligent_retries": (True, [False], ["x"]),
    "max_participant_retries": (2, [0, 5], [-1, 6]),
    "enable_progressive_guidance": (True, [False], ["x"]),
    "memory_update_on_retry": (True, [False], ["x"]),
    "retry_feedback_detail": ("concise", ["detailed"], ["none"]),
    # Sections
    "original_values_mode.enabled": (False, [True], ["x"]),
    "phase2_enhanced_transparency.enabled": (True, [False], ["x"]),
    "phase2_enhanced_transparency.detail_level": ("full", ["basic", "enhanced"], ["none"]),
    "phase2_enhanced_transparency.include_counterfactuals": (True, [False], ["x"]),
    "phase2_enhanced_transparency.include_class_assignment": (True, [False], ["x"]),
    "phase2_enhanced_transparency.include_insights": (True, [False], ["x"]),
    "logging.verbosity_level": ("standard", ["minimal", "detailed", "debug", "Debug"], ["silent"]),
    "logging.use_colors": (True, [False], ["x"]),
    "logging.show_progress_bars": (True, [False], ["x"]),
    "transcript_logging.enabled": (False, [True], ["x"]),
    "transcript_logging.output_path": (None, ["runs/one.json"], ["../one.json", "runs\\..\\one", ""]),
    "transcript_logging.include_memory_updates": (False, [True], ["x"]),
    "transcript_logging.include_instructions": (False, [True], ["x"]),
    "transcript_logging.include_input_prompts": (True, [False], ["x"]),
    "transcript_logging.include_agent_responses": (True, [False], ["x"]),
    "phase2_settings.min_statement_length": (10, [1], [0]),
    "phase2_settings.min_statement_length_cjk": (5, [1], [0]),
    "phase2_settings.max_statement_retries": (3, [1, 10], [0, 11]),
    "phase2_settings.max_memory_retries": (5, [1, 10], [0, 11]),
    "phase2_settings.retry_backoff_factor": (1.5, [1, 3], [0.9, 3.1]),
    "phase2_settings.statement_timeout_seconds": SECONDS,
    "phase2_settings.confirmation_timeout_seconds": SECONDS,
    "phase2_settings.ballot_timeout_seconds": SECONDS,
    "phase2_settings.reasoning_timeout_seconds": SECONDS,
    "phase2_settings.constraint_correction_timeout_seconds": SECONDS,
    "phase2_settings.reasoning_enabled": (True, [False], ["x"]),
    "phase2_settings.reasoning_max_retries": (2, [1, 5], [0, 6]),
    "phase2_settings.memory_compression_threshold": (0.9, [0.5, 0.95], [0.49, 0.96]),
    "phase2_settings.memory_validation_strict": (True, [False], ["x"]),
    "phase2_settings.constraint_tolerance": (0, [0, 500], [-1]),
    "phase2_settings.public_history_max_length": (50000, [10000, 100000], [9999]),
    "phase2_settings.quarantine_failed_responses": (True, [False], ["x"]),
    "phase2_settings.min_agents_for_experiment": (2, [2, 5], [1]),
    "phase2_settings.constraint_correction_enabled": (True, [False], ["x"]),
    "phase2_settings.max_constraint_correction_attempts": (2, [1, 5], [0, 6]),
    "phase2_settings.two_stage_voting_enabled": (True, [False], ["x"]),
    "phase2_settings.two_stage_max_retries": (3, [1, 10], [0, 11]),
    "phase2_settings.two_stage_timeout_seconds": SECONDS,
    "phase2_settings.amount_range_validation": (True, [False], ["x"]),
    "phase2_settings.amount_min_reasonable": (1000, [1, 5000], [0]),
    "phase2_settings.amount_max_reasonable": (10000000, [1000], [99]),
    "phase2_settings.prompt_based_voting": (True, [False], ["x"]),
    "phase2_settings.log_statement_preview_length": (100, [50, 500], [49, 501]),
}

OF_AGENTS: dict[str, tuple[Any, list[Any], list[Any]]] = {
    "model": ("o3-mini", ["local"], ["", 3]),
    "temperature": (0.7, [0, 2], [-0.1, 2.1]),
    "memory_character_limit": (50000, [1, 25000], [0, -1]),
    "reasoning_enabled": (True, [False], ["x"]),
    "language": ("english", ["english", "spanish", "mandarin", "chinese", "Chinese"], ["french"]),
}

#: ``agents`` and its two required keys, the manipulator's, and the sections themselves.
OTHERS = {
    "agents",
    "agents[].name",
    "agents[].personality",
    "original_values_mode",
    "phase2_enhanced_transparency",
    "logging",
    "transcript_logging",
    "manipulator",
    "manipulator.name",
    "manipulator.intelligence_level",
    "manipulator.target_strategy",
    "manipulator.tiebreak",
    "manipulator.tiebreak_seed",
    "manipulator.tiebreak_order",
    "phase2_settings",
    *(
        f"income_class_probabilities.{name}"
        for name in ("high", "medium_high", "medium", "medium_low", "low")
    ),
}


def _with(path: str, value: Any) -> dict[str, Any]:
    section, _, name = path.rpartition(".")
    return document(**({section: {name: value}} if section else {name: value}))


def _of(values: dict[str, Any], path: str) -> Any:
    for part in path.split("."):
        values = values[part]
    return values


def test_the_keys_of_the_earlier_files_are_all_there_and_the_others_say_where_they_come_from() -> None:
    told = {key.path: key for key in keys()}
    earlier = {*TOP, *(f"agents[].{name}" for name in OF_AGENTS), *OTHERS}
    assert earlier <= told.keys()
    assert {path for path, key in told.items() if "earlier model experiments" in key.source} == earlier
    assert len(earlier) == 90


@pytest.mark.parametrize("path", TOP)
def test_key(path: str) -> None:
    default, allowed, refused = TOP[path]
    assert _of(read_config(document()).model_dump(mode="json"), path) == default
    for value in allowed:
        read = read_config(_with(path, value)).model_dump(mode="json")
        if not isinstance(value, str):
            assert _of(read, path) == value
    for value in refused:
        assert any(field == path or field.startswith(f"{path}.") for field in faults(_with(path, value)))


@pytest.mark.parametrize("name", OF_AGENTS)
def test_key_of_an_agent(name: str) -> None:
    default, allowed, refused = OF_AGENTS[name]
    assert read_config(document()).model_dump(mode="json")["agents"][1][name] == default
    for value in allowed:
        given = document()
        given["agents"][1][name] = value
        read_config(given)
    for value in refused:
        given = document()
        given["agents"][1][name] = value
        assert f"agents.1.{name}" in faults(given)


def test_every_key_says_what_it_means() -> None:
    for key in keys():
        assert len(key.meaning) > 15, key.path
        assert key.meaning.rstrip(")`").endswith("."), key.path
